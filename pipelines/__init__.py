"""Typer apps and orchestration: what a person types. The logic lives in curate and train."""
