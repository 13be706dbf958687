"""Checkpoints of a training run: written beside the training, whole or not at all, read at any number of ranks."""

from train.checkpoint.checkpoints import Checkpoints
from train.checkpoint.weights import Start, weights_of

__all__ = ["Checkpoints", "Start", "weights_of"]
