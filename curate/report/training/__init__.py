"""Training runs to a self-contained page of curves."""

from curate.report.training.page import is_training, training_page, write_training_page

__all__ = ["is_training", "training_page", "write_training_page"]
