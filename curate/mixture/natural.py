"""The mix nearest to the natural one: iterative proportional fitting with caps.

Among all y with the wanted shares, take the one with the least Kullback-Leibler divergence from the natural
proportions q. Each demand and the box is a convex set with a closed projection in that divergence; Dykstra's
algorithm in Bregman's form (Bauschke & Lewis, 2000; for margins alone it is the classical fitting of Deming &
Stephan, 1940) visits them in turn and converges to the projection on their intersection. Only the box needs
Dykstra's correction; demands are affine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.mixture.cells import Floats
from curate.mixture.problem import Part, Problem

ROUNDS = 1000
PRECISE = 2e-5
"""Largest deviation of a share (0..1) that counts as none."""
WINDOW = 50
"""Rounds after which the deviation must have fallen by a fifth, or the fitting is given up."""


@dataclass(frozen=True)
class Fit:
    """Units by class, and how far the worst of the wanted shares is off (0..1)."""

    units: Floats  # [K]
    miss: float


def fit(problem: Problem, size: float, wanted: Sequence[Floats]) -> Fit:
    """The mix of `size` units with shares `wanted` ([V] for every part) nearest to the natural proportions."""
    free = problem.highest > problem.lowest
    units = problem.natural * size / max(problem.natural.sum(), 1e-300)
    units = np.where(free, units, problem.lowest)
    excess = np.ones_like(units)  # Dykstra's correction of the box
    misses: list[float] = []
    for _ in range(ROUNDS):
        for part, shares in zip(problem.parts, wanted, strict=True):
            units = _project(problem, part, shares, units, size)
        units = _to_size(problem, units, size)
        units, excess = _into_box(problem, units, excess)
        misses.append(miss(problem, units, size, wanted))
        if misses[-1] <= PRECISE or _stuck(misses):
            break
    return Fit(units, misses[-1])


def miss(problem: Problem, units: Floats, size: float, wanted: Sequence[Floats]) -> float:
    """Largest deviation from the wanted shares, each of its own part, and from the size as a share of it."""
    worst = abs(float(units.sum()) - size) / max(size, 1e-300)
    for part, shares in zip(problem.parts, wanted, strict=True):
        realised = part.realised(units)
        if shares.sum() > 0 and realised.sum() > 0:
            worst = max(worst, float(np.abs(realised - shares).max()))
    return worst


def _stuck(misses: Sequence[float]) -> bool:
    return len(misses) > WINDOW and misses[-1] > 0.8 * misses[-1 - WINDOW]


def _project(problem: Problem, part: Part, shares: Floats, units: Floats, size: float) -> Floats:
    """Nearest units with the wanted shares: every value of the part is scaled by one factor of its own."""
    if not shares.sum() > 0:
        return units
    fixed = part.sums(problem.lowest)
    sums = part.sums(units)
    total = size if not problem.wholes[part.whole] else _nearest_total(sums, shares)
    loose = sums - fixed
    factors = np.ones_like(sums)
    np.divide(np.maximum(shares * total - fixed, 0), loose, out=factors, where=loose > 0)
    return _scaled(problem, units, np.append(factors, 1.0)[part.codes])


def _nearest_total(sums: Floats, shares: Floats) -> float:
    """The total T for which T * shares is nearest to `sums`: their geometric mean weighted by the shares.

    Setting the derivative of sum(T s log(T s / y) - T s + y) by T to 0 gives log T = sum(s log(y / s)).
    """
    asked = (shares > 0) & (sums > 0)
    weights = shares[asked] / max(shares[asked].sum(), 1e-300)
    return float(np.exp((weights * np.log(sums[asked] / shares[asked])).sum())) if asked.any() else float(sums.sum())


def _to_size(problem: Problem, units: Floats, size: float) -> Floats:
    fixed = float(problem.lowest.sum())
    loose = float(units.sum()) - fixed
    return _scaled(problem, units, np.full(len(units), max(size - fixed, 0) / loose)) if loose > 0 else units


def _scaled(problem: Problem, units: Floats, factors: Floats) -> Floats:
    """Units times factors; what is fixed stays."""
    return problem.lowest + (units - problem.lowest) * factors


def _into_box(problem: Problem, units: Floats, excess: Floats) -> tuple[Floats, Floats]:
    """Units cut at the caps, and Dykstra's new correction: how much each was cut, as a factor."""
    raised = problem.lowest + (units - problem.lowest) * excess
    cut = np.minimum(raised, problem.highest)
    loose = cut - problem.lowest
    excess = np.ones_like(units)
    np.divide(raised - problem.lowest, loose, out=excess, where=loose > 0)
    return cut, np.minimum(excess, 1e100)


def spread(problem: Problem, units: Floats) -> Floats:
    """Units [K] of the classes over their cells [C], in natural proportion as far as the caps allow."""
    cells = problem.cells
    low, high = cells.lowest * cells.units, cells.highest * cells.units
    natural = np.maximum(cells.samples * cells.units, 1e-12)
    held = low.astype(np.float64)
    for _ in range(ROUNDS):
        missing = units - problem.by_class(held)
        open_ = held < high
        weight = np.where(open_, natural, 0.0)
        total = problem.by_class(weight)
        rate = np.divide(missing, total, out=np.zeros_like(missing), where=total > 0)
        if not (np.abs(rate) > 1e-12).any():
            break
        held = np.clip(held + weight * rate[problem.member], low, high)
    return held
