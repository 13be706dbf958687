"""Mixture-ablation sweeps: design trials, run them, fit what they say, and report it with its confidence."""
