"""Ranks, and how a model lies on them."""
