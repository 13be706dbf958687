"""A Gaussian process (scikit-learn): a second-degree polynomial about the prior, and a smooth curve of each share.

Covariance: linear in all columns (choices add there), plus square in the shares, plus for each share a squared exponential of
its square root (an additive process: Duvenaud, Nickisch and Rasmussen 2011), plus the noise of a run. Curves of single shares
are what a few dozen runs can tell beyond a polynomial: returns that diminish, data repeated too often. Of square roots, since
a share that goes from 0 to 2 % changes more than one from 40 to 42 %. The noise is held near what seed repeats show.
"""

from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import minimize

from pipelines.sweep.models.base import MODELS, centred, scale_of, shares, squares_apart
from pipelines.sweep.space import Floats, Space

if TYPE_CHECKING:
    from sklearn.gaussian_process.kernels import Kernel

LEAST_NOISE = 1e-4
"""Variance of a run over that of all runs; below, matrices cannot be solved well."""
NOISE_FACTOR = 4.0
"""By how much the variance may differ from that of the seed repeats, of which there are few."""
REST = 10.0
"""Prior variance of the mean: as good as free."""


@MODELS.register("process")
class Process:
    """Gaussian process; its strengths have the highest marginal likelihood."""

    least = 8
    bends = True

    def __init__(self, space: Space) -> None:
        self._space = space
        self._shares = shares(space)

    def fit(self, rows: Floats, y: Floats, noise: float) -> Self:
        """Chooses strengths and length."""
        from sklearn.gaussian_process import GaussianProcessRegressor

        self._middle, self._spread = scale_of(y)
        features, scaled = self._features(rows), (y - self._middle) / self._spread
        likelihood = _Likelihood(features, scaled, len(self._space.columns), self._shares)
        kernel = self._kernel((noise / self._spread) ** 2)
        chosen = kernel.clone_with_theta(likelihood.highest(kernel.theta, kernel.bounds))
        self._model = GaussianProcessRegressor(chosen, alpha=1e-10, optimizer=None).fit(features, scaled)
        self._signal: Kernel = self._model.kernel_.k1  # without the noise
        return self

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """The posterior of the function itself, without the noise of a run."""
        features = self._features(rows)
        cross = self._signal(features, self._model.X_train_)
        half = np.linalg.solve(self._model.L_, cross.T)
        left = self._signal.diag(features) - (half * half).sum(axis=0)
        mean = cross @ self._model.alpha_
        return self._middle + self._spread * mean, self._spread * np.sqrt(np.maximum(left, 0.0))

    def again(self, ys: Floats, rows: Floats) -> Floats:
        """Linear in ys."""
        cross = self._signal(self._features(rows), self._model.X_train_)
        smoother = cho_solve((self._model.L_, True), cross.T)  # [n, k]
        return np.asarray(self._middle + (ys - self._middle) @ smoother, np.float64)

    def _features(self, rows: Floats) -> Floats:
        """[n, d + shares]: centred columns, then the square roots of shares."""
        return np.concatenate([centred(self._space, rows), np.sqrt(np.maximum(rows[:, : self._shares], 0.0))], axis=1)

    def _kernel(self, floor: float) -> "Kernel":
        """The order of its parts is that of _Likelihood's strengths."""
        from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

        from pipelines.sweep.models.kernels import Linear, Smooth, Square

        width = len(self._space.columns)
        level = min(max(floor, LEAST_NOISE), 1.0) if floor else 0.1
        reach = NOISE_FACTOR if floor else 1e3
        bounds = (max(level / reach, LEAST_NOISE / 2), max(level * reach, 2 * LEAST_NOISE))
        line = ConstantKernel(10.0, (1e-2, 1e4)) * Linear(width)
        square = ConstantKernel(10.0, (1e-2, 1e4)) * Square(self._shares)
        smooth = ConstantKernel(0.3, (1e-4, 1e2)) * Smooth(width, 0.4, (0.1, 3.0))
        return line + square + smooth + ConstantKernel(REST, "fixed") + WhiteKernel(level, bounds)


class _Likelihood:
    """The marginal likelihood over its five log strengths (line, square, smooth, its length, noise): Rasmussen and Williams
    2006, algorithm 2.1 and eq. 5.9. scikit-learn has it too, and works every covariance out anew each time."""

    def __init__(self, features: Floats, y: Floats, width: int, count: int) -> None:
        self._y = y
        self._line = features[:, :width] @ features[:, :width].T
        self._square = (features[:, :count] @ features[:, :count].T) ** 2
        self._apart = squares_apart(features[:, width:], features[:, width:])  # [n, n, shares]

    def highest(self, start: Floats, bounds: Floats) -> Floats:
        """The best log strengths; it stops where the likelihood hardly moves, as finer ones change no prediction."""
        told = {"maxiter": 40, "ftol": 1e-5}
        found = minimize(self._cost, start, method="L-BFGS-B", jac=True, bounds=bounds, options=told)
        return np.clip(np.asarray(found.x, np.float64), bounds[:, 0], bounds[:, 1])

    def _cost(self, strengths: Floats) -> tuple[float, Floats]:
        line, square, height, length, noise = np.exp(strengths)
        each = height * np.exp(-self._apart / (2 * length**2))
        smooth = each.sum(axis=2)
        cover = line * self._line + square * self._square + smooth + REST
        cover[np.diag_indices_from(cover)] += noise + 1e-10
        root = np.linalg.cholesky(cover)
        inverse = cho_solve((root, True), np.eye(len(cover)))
        weights = inverse @ self._y
        cost = 0.5 * self._y @ weights + np.log(np.diag(root)).sum()
        pull = inverse - np.outer(weights, weights)
        slopes = [(pull * part).sum() for part in (line * self._line, square * self._square, smooth)]
        slopes += [(pull * (each * self._apart).sum(axis=2)).sum() / length**2, noise * np.trace(pull)]
        return float(cost), 0.5 * np.array(slopes)
