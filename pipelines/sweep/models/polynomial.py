"""Mixture polynomials with ridge: linear, and quadratic as Scheffé (1958) has them, about the prior.

On shares that sum to one, Scheffé's b_i p_i + b_ij p_i p_j and a full quadratic in p - prior span the same functions; the
latter has no columns that are nearly alike and keeps ridge from preferring one corner. Ridge is worked out as the Gaussian
process that it is: y = mean + L(x) + Q(x) + e, with L of covariance l x·x' and Q of q (s·s')^2, s being the shares (choices
are additive). The strengths l and q, in units of the noise's variance, are those of the highest marginal likelihood (type II,
Rasmussen and Williams 2006, eq. 5.8, the variance integrated out by its maximum).
"""

from itertools import product
from typing import Self

import numpy as np

from pipelines.sweep.models.base import MODELS, centred, scale_of, shares
from pipelines.sweep.space import Floats, Space

STRENGTHS = tuple(10.0**power for power in np.arange(-1.0, 4.1, 0.5).tolist())
"""Prior variance of a coefficient over the noise's variance; shares move by tenths, so 100 means effects as large as noise."""
OFFSET = 100.0
"""Prior variance of the mean: as good as free."""


class Polynomial:
    """Ridge in its dual form; all matrices are [runs, runs]."""

    quadratic = False
    least = 4
    bends = False

    def __init__(self, space: Space) -> None:
        self._space = space
        self._shares = shares(space)

    def fit(self, rows: Floats, y: Floats, noise: float) -> Self:
        """Chooses the strengths and solves."""
        self._middle, self._spread = scale_of(y)
        self._x, scaled = centred(self._space, rows), (y - self._middle) / self._spread
        linear, square = self._grams(self._x)
        floor = (noise / self._spread) ** 2
        fits = [
            (*_evidence(OFFSET + l * linear + q * square, scaled, floor), l, q)
            for l, q in product(STRENGTHS, STRENGTHS if self.quadratic else (0.0,))  # noqa: E741
        ]
        _, self._variance, self._l, self._q = max(fits, key=lambda one: one[0])
        cover = OFFSET + self._l * linear + self._q * square + np.eye(len(y))
        self._inverse = np.linalg.inv(cover)
        self._weights = self._inverse @ scaled
        return self

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """The posterior's mean and standard deviation."""
        x = centred(self._space, rows)
        cross = self._cross(x)
        own = OFFSET + self._l * (x * x).sum(axis=1) + self._q * (x[:, : self._shares] ** 2).sum(axis=1) ** 2
        left = own - np.einsum("kn,nm,km->k", cross, self._inverse, cross, optimize=True)
        sd = self._spread * np.sqrt(self._variance * np.maximum(left, 0.0))
        return self._middle + self._spread * (cross @ self._weights), sd

    def again(self, ys: Floats, rows: Floats) -> Floats:
        """Linear in ys."""
        smoother = self._cross(centred(self._space, rows)) @ self._inverse  # [k, n]
        return np.asarray(self._middle + (ys - self._middle) @ smoother.T, np.float64)

    def _cross(self, x: Floats) -> Floats:
        linear, square = self._grams(x, self._x)
        return np.asarray(OFFSET + self._l * linear + self._q * square, np.float64)

    def _grams(self, x: Floats, other: Floats | None = None) -> tuple[Floats, Floats]:
        other = x if other is None else other
        square = (x[:, : self._shares] @ other[:, : self._shares].T) ** 2 if self.quadratic else np.zeros((len(x), len(other)))
        return x @ other.T, square


def _evidence(cover: Floats, y: Floats, floor: float) -> tuple[float, float]:
    """Log marginal likelihood up to a constant, and the noise's variance, which is not less than half of what seeds show."""
    root = np.linalg.cholesky(cover + np.eye(len(y)))
    half = np.linalg.solve(root, y)
    variance = max(float(half @ half) / len(y), floor / 2, 1e-12)
    fit = -0.5 * float(half @ half) / variance - 0.5 * len(y) * np.log(variance)
    return fit - float(np.log(np.diag(root)).sum()), variance


@MODELS.register("linear")
class Linear(Polynomial):
    """First degree."""


@MODELS.register("quadratic")
class Quadratic(Polynomial):
    """Second degree in the shares; choices add."""

    quadratic = True
    least = 6
    bends = True
