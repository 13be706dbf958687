"""Log-linear: a loss is c + exp(t·p + b), the law of Ye et al. 2024 (Data Mixing Laws) and what Olmix fits by default.

A target that is better when higher is turned round: c - exp(t·p + b), which rises and saturates. So every target is concave in
the mix, and so is a sum of several, each with its own exponential, whose best mix lies inside the simplex.

Fitted by damped least squares (Levenberg and Marquardt), many problems at a time. Ridge holds both the slope at the prior,
exp(b)·t, and t itself, which bends; its strength is that of the least generalised cross-validation (Golub, Heath and Wahba
1979) on the linearised fit.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from pipelines.sweep.models.base import MODELS, centred, scale_of, shares
from pipelines.sweep.space import Floats, Space

STRENGTHS = (0.001, 0.01, 0.1)
BEND = 0.1
"""Ridge on t as a share of that on the slope."""
STARTS = (-0.7, 0.7)
"""First b: the part that can still be won, in standard deviations of the target, as logarithm."""
STEPS = 40
STILL = 1e-7
LEAST_DAMPING = 1e-7
"""Where answers are all alike the curvature vanishes, and no step could be solved for without any."""
LARGEST = 6.0
"""No exponent beyond while a law is fitted: exp(6) spreads are nothing that runs show."""
BEYOND = float(np.log(3.0))
"""A prediction's exponent is at most so much larger than that of any run: the law falls steeply where it has seen nothing."""


@MODELS.register("log-linear")
class LogLinear:
    """c - exp(b + t·s) + u·z, s being the centred shares and z the choices, whose effects add."""

    least = 6
    bends = False

    def __init__(self, space: Space) -> None:
        self._space = space
        self._shares = shares(space)

    def fit(self, rows: Floats, y: Floats, noise: float) -> Self:
        """Tries all strengths and starts at once and keeps the best by GCV."""
        self._middle, self._spread = scale_of(y)
        self._law, scaled = self._over(rows), (y - self._middle) / self._spread
        strengths = np.repeat(STRENGTHS, len(STARTS))
        starts = np.zeros((len(strengths), rows.shape[1] + 2))
        starts[:, 1] = np.tile(STARTS, len(STRENGTHS))
        starts[:, 0] = np.exp(starts[:, 1])
        found = levenberg(self._law, np.repeat(scaled[None], len(strengths), axis=0), strengths, starts)
        scores, variances, inverses = _judge(self._law, scaled, strengths, found)
        best = int(np.argmin(scores))
        self._found, self._strength, self._inverse = found[best], float(strengths[best]), inverses[best]
        self._variance = max(float(variances[best]), (noise / self._spread) ** 2 / 2)
        return self

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean, and standard deviation by the delta method."""
        law, most = self._over(rows), self._law.most(self._found[None])
        value, slopes = law.values(self._found[None], most)[0], law.slopes(self._found[None], most)[0]
        spread = np.einsum("kp,pq,kq->k", slopes, self._inverse, slopes, optimize=True)
        return self._middle + self._spread * value, self._spread * np.sqrt(self._variance * np.maximum(spread, 0.0))

    def again(self, ys: Floats, rows: Floats) -> Floats:
        """Fitted anew from where this fit ended."""
        scaled = (ys - self._middle) / self._spread
        starts = np.repeat(self._found[None], len(ys), axis=0)
        found = levenberg(self._law, scaled, np.full(len(ys), self._strength), starts)
        return self._middle + self._spread * self._over(rows).values(found, self._law.most(found))

    def _over(self, rows: Floats) -> "Law":
        x = centred(self._space, rows)
        return Law(x[:, : self._shares], x[:, self._shares :])


@dataclass(frozen=True)
class Law:
    """The law over n runs, for many parameters [p] = (c, b, t, u) at a time."""

    s: Floats  # [n, shares]
    z: Floats  # [n, choices]

    def values(self, at: Floats, most: Floats | float = LARGEST) -> Floats:
        """[k, n] for at [k, p]; no exponent is above `most` [k, 1]."""
        return np.asarray(at[:, :1] - self._power(at, most) + at[:, 2 + self.s.shape[1] :] @ self.z.T, np.float64)

    def slopes(self, at: Floats, most: Floats | float = LARGEST) -> Floats:
        """[k, n, p]"""
        power, end = self._power(at, most), 2 + self.s.shape[1]
        found = np.empty((*power.shape, at.shape[1]))
        found[:, :, 0] = 1.0
        found[:, :, 1] = -power
        found[:, :, 2:end] = -power[:, :, None] * self.s[None]
        found[:, :, end:] = self.z[None]
        return found

    def held(self, at: Floats, strengths: Floats) -> tuple[Floats, Floats]:
        """What ridge holds, times the root of its strength: slopes at the prior, t itself, u; [k, r], and its slopes [k, r,
        p]."""
        end, p = 2 + self.s.shape[1], at.shape[1]
        size, root = np.exp(np.minimum(at[:, 1:2], LARGEST)), np.sqrt(strengths)[:, None]
        t, u = at[:, 2:end], at[:, end:]
        values = np.concatenate([root * size * t, root * BEND**0.5 * t, root * u], axis=1)
        slopes, count = np.zeros((len(at), values.shape[1], p)), t.shape[1]
        slopes[:, :count, 1] = values[:, :count]
        each = np.arange(count)
        slopes[:, each, 2 + each] = root * size
        slopes[:, count + each, 2 + each] = root * BEND**0.5
        slopes[:, 2 * count + np.arange(p - end), end + np.arange(p - end)] = root
        return values, slopes

    def cost(self, ys: Floats, strengths: Floats, at: Floats) -> Floats:
        """[k] penalised squares; infinite beyond what can be computed."""
        total = ((ys - self.values(at)) ** 2).sum(axis=1) + (self.held(at, strengths)[0] ** 2).sum(axis=1)
        return np.where(np.isfinite(total) & (at[:, 1] < LARGEST), total, np.inf)

    def most(self, at: Floats) -> Floats:
        """[k, 1] the largest exponent that a prediction by at [k, p] may have, these being the runs."""
        return np.asarray(np.minimum(self._exponents(at).max(axis=1, keepdims=True) + BEYOND, LARGEST), np.float64)

    def _power(self, at: Floats, most: Floats | float) -> Floats:
        return np.asarray(np.exp(np.minimum(self._exponents(at), most)), np.float64)

    def _exponents(self, at: Floats) -> Floats:
        return at[:, 1:2] + at[:, 2 : 2 + self.s.shape[1]] @ self.s.T


def levenberg(law: Law, ys: Floats, strengths: Floats, starts: Floats) -> Floats:
    """Parameters [k, p] of least penalised squares for ys [k, n], strengths [k], starts [k, p]."""
    at, damping = starts.copy(), np.full(len(starts), 1e-2)
    cost = law.cost(ys, strengths, at)
    live = np.ones(len(at), dtype=bool)
    for _ in range(STEPS):
        which = np.flatnonzero(live)
        if not len(which):
            break
        tried = at[which] + _step(law, ys[which], strengths[which], at[which], damping[which])
        new = law.cost(ys[which], strengths[which], tried)
        better = new < cost[which]
        damping[which] = np.where(better, np.maximum(damping[which] / 5, LEAST_DAMPING), damping[which] * 8)
        settled = better & (cost[which] - new < STILL * cost[which])
        at[which[better]], cost[which[better]] = tried[better], new[better]
        live[which[settled | (damping[which] > 1e6)]] = False
    return at


def _step(law: Law, ys: Floats, strengths: Floats, at: Floats, damping: Floats) -> Floats:
    """The damped Gauss-Newton step [k, p]."""
    slopes, (held, held_slopes) = law.slopes(at), law.held(at, strengths)
    gradient = np.einsum("knp,kn->kp", slopes, ys - law.values(at)) - np.einsum("krp,kr->kp", held_slopes, held)
    curvature = slopes.transpose(0, 2, 1) @ slopes + held_slopes.transpose(0, 2, 1) @ held_slopes
    diagonal = np.einsum("kpp->kp", curvature)
    diagonal += damping[:, None] * (diagonal + 1e-3)
    return np.asarray(np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0], np.float64)


def _judge(law: Law, y: Floats, strengths: Floats, found: Floats) -> tuple[Floats, Floats, Floats]:
    """GCV [k], the variance of a run [k] and the inverse curvature [k, p, p] of each fit."""
    slopes, (_, held) = law.slopes(found), law.held(found, strengths)
    curvature = slopes.transpose(0, 2, 1) @ slopes
    inverse = np.linalg.inv(curvature + held.transpose(0, 2, 1) @ held + 1e-9 * np.eye(found.shape[1]))
    used = np.minimum(np.einsum("kpq,kqp->k", inverse, curvature), len(y) - 1.0)
    misfit, free = ((y - law.values(found)) ** 2).sum(axis=1), len(y) - used
    return np.asarray(len(y) * misfit / free**2), np.asarray(misfit / free), np.asarray(inverse, np.float64)
