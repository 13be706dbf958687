"""Vectors to neighbours: index and search."""
