"""No model at all: the mix explains nothing that seeds do not."""

from typing import Self

import numpy as np

from pipelines.sweep.models.base import MODELS
from pipelines.sweep.space import Floats, Space


@MODELS.register("mean")
class Mean:
    """The mean of all runs, wherever one asks."""

    least = 1
    bends = True

    def __init__(self, space: Space) -> None:
        self._mean = self._error = 0.0

    def fit(self, rows: Floats, y: Floats, noise: float) -> Self:
        """Takes the mean and its standard error."""
        self._mean = float(np.mean(y))
        self._error = float(np.std(y, ddof=1)) / len(y) ** 0.5 if len(y) > 1 else noise
        return self

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """The same everywhere."""
        return np.full(len(rows), self._mean), np.full(len(rows), self._error)

    def again(self, ys: Floats, rows: Floats) -> Floats:
        """The mean of each row of ys."""
        return np.repeat(ys.mean(axis=1, keepdims=True), len(rows), axis=1)
