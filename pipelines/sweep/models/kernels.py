"""Covariances over parts of the columns, for scikit-learn's Gaussian process."""

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from pipelines.sweep.models.base import squares_apart
from pipelines.sweep.space import Floats


class Linear(Kernel):  # type: ignore[misc]  # scikit-learn has no types
    """x·x' of the first `width` columns; nothing to choose."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Floats | tuple[Floats, Floats]:
        """[n, m], and an empty gradient where asked for."""
        value: Floats = X[:, : self.width] @ (X if Y is None else Y)[:, : self.width].T
        return (value, np.empty((*value.shape, 0))) if eval_gradient else value

    def diag(self, X: Floats) -> Floats:
        """[n]."""
        value: Floats = (X[:, : self.width] ** 2).sum(axis=1)
        return value

    def is_stationary(self) -> bool:
        """Not."""
        return False


class Square(Kernel):  # type: ignore[misc]
    """(s·s')^2 of the first `width` columns, which are shares: all second-degree polynomials of them; nothing to choose."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Floats | tuple[Floats, Floats]:
        """[n, m], and an empty gradient where asked for."""
        value: Floats = (X[:, : self.width] @ (X if Y is None else Y)[:, : self.width].T) ** 2
        return (value, np.empty((*value.shape, 0))) if eval_gradient else value

    def diag(self, X: Floats) -> Floats:
        """[n]."""
        value: Floats = (X[:, : self.width] ** 2).sum(axis=1) ** 2
        return value

    def is_stationary(self) -> bool:
        """Not."""
        return False


class Smooth(Kernel):  # type: ignore[misc]
    """The sum of a squared exponential of each of the columns from `start` on: functions of one column, added."""

    def __init__(self, start: int, length_scale: float = 1.0, length_scale_bounds: tuple[float, float] = (1e-1, 1e1)) -> None:
        self.start = start
        self.length_scale = length_scale
        self.length_scale_bounds = length_scale_bounds

    @property
    def hyperparameter_length_scale(self) -> Hyperparameter:
        """The one thing to choose."""
        return Hyperparameter("length_scale", "numeric", self.length_scale_bounds)

    def __call__(self, X: Floats, Y: Floats | None = None, eval_gradient: bool = False) -> Floats | tuple[Floats, Floats]:
        """[n, m], and its gradient in the length's logarithm [n, n, 1]."""
        apart = squares_apart(X[:, self.start :], (X if Y is None else Y)[:, self.start :])
        each = np.exp(-apart / (2 * self.length_scale**2))
        value: Floats = each.sum(axis=2)
        if not eval_gradient:
            return value
        slope: Floats = (each * apart).sum(axis=2, keepdims=True) / self.length_scale**2
        return value, slope

    def diag(self, X: Floats) -> Floats:
        """[n]: one a column."""
        return np.full(len(X), float(X.shape[1] - self.start))

    def is_stationary(self) -> bool:
        """It is."""
        return True
