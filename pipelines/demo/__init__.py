"""Configurations of `curate demo`."""
