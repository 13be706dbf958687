"""Covariances over parts of the columns, for scikit-learn's Gaussian process."""

import numpy as np
from sklearn.gaussian_process.kernels import RBF, Hyperparameter, Kernel, NormalizedKernelMixin

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


class Smooth(NormalizedKernelMixin, Kernel):  # type: ignore[misc]
    """Squared exponential of the columns from `start` on."""

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
        inner = RBF(self.length_scale, self.length_scale_bounds)
        result: Floats = inner(X[:, self.start :], None if Y is None else Y[:, self.start :], eval_gradient)
        return result

    def is_stationary(self) -> bool:
        """It is."""
        return True
