"""The linear programs: the least deviation from the demands, and the largest plan within tolerance.

Amounts are scaled so that a plan of the asked size is 1. For the demand d on value v inside the whole W, with
requested share s and tolerance tau, the unknowns p, m >= 0 are the surplus and the deficit and b is what of them
lies beyond tolerance:

    sum(y over v) - s * T_W = p - m        p + m <= tau * T_W + b        p <= s * h_d
    minimise  sum over d of w_d * (b + 0.001 (p + m) + 0.00001 h_d)

so what lies beyond tolerance weighs most, then all deviation, and then the surplus is spread in proportion to the
shares (h_d) instead of falling on one value. Demands inside a part of the plan weigh w = 0.1 of those on the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from curate.mixture.cells import Floats, Mask
from curate.mixture.problem import Part, Problem

INNER, WITHIN_TOLERANCE, SPREAD = 0.1, 0.001, 0.00001
"""Weights of a nested demand, of deviation inside the tolerance, and of an uneven surplus."""


@dataclass
class Program:
    """A linear program that grows row by row: minimise cost @ x with equal = right side, below <= right side."""

    cost: list[float]
    low: list[float]
    high: list[float]

    def __post_init__(self) -> None:
        self.entries: dict[str, list[tuple[Any, Any, Any]]] = {"equal": [], "below": []}
        self.sides: dict[str, list[float]] = {"equal": [], "below": []}

    def unknowns(self, number: int, cost: float = 0.0, low: float = 0.0, high: float = np.inf) -> int:
        """Adds unknowns; the number of the first."""
        first = len(self.cost)
        self.cost += [cost] * number
        self.low += [low] * number
        self.high += [high] * number
        return first

    def row(self, kind: str, terms: Sequence[tuple[Any, Any]], side: float = 0.0) -> None:
        """Adds a row: `terms` are (unknowns, coefficients)."""
        number = len(self.sides[kind])
        for columns, values in terms:
            self.entries[kind].append((np.full(np.size(columns), number), np.atleast_1d(columns), values))
        self.sides[kind].append(side)

    def solve(self) -> Floats | None:
        """The unknowns at the optimum; None when nothing is feasible or nothing is best."""
        from scipy.optimize import linprog

        bounds = np.stack([self.low, self.high]).T
        below, at_most = self._matrix("below")
        equal, exactly = self._matrix("equal")
        found = linprog(self.cost, A_ub=below, b_ub=at_most, A_eq=equal, b_eq=exactly, bounds=bounds, method="highs")
        return np.asarray(found.x) if found.status == 0 else None

    def _matrix(self, kind: str) -> tuple[Any, Any]:
        from scipy.sparse import csr_array

        if not self.sides[kind]:
            return None, None
        rows = np.concatenate([rows for rows, _, _ in self.entries[kind]])
        columns = np.concatenate([columns for _, columns, _ in self.entries[kind]])
        values = np.concatenate([np.broadcast_to(value, np.shape(column)) for _, column, value in self.entries[kind]])
        return csr_array((values, (rows, columns)), shape=(len(self.sides[kind]), len(self.cost))), self.sides[kind]


def least_deviation(problem: Problem, size: float, tolerance: float) -> Floats:
    """[K] units of a mix of `size` with the least deviation; one of many, to be moved to the natural one.

    `tolerance` is a share (0..1). `size` must lie between what is fixed and what there is.
    """
    program = _classes(problem.lowest / size, problem.highest / size)
    totals = _totals(program, problem)
    program.low[totals] = program.high[totals] = 1.0
    for part in problem.parts:
        _soft(program, part, totals + part.whole, tolerance)
    found = program.solve()
    assert found is not None, "a mix of this size exists, and deviation is allowed"
    return np.clip(found[: len(problem.natural)] * size, problem.lowest, problem.highest)


def largest(problem: Problem, tolerance: float) -> float:
    """Units of the largest plan whose every share is within tolerance, or within the least that can be had."""
    slack = [part.tolerances(tolerance) for part in problem.parts]
    size = _largest(problem, slack)
    if size < 1:
        size = _largest(problem, _least_slack(problem, tolerance))
    return size


def _largest(problem: Problem, slack: Sequence[Floats]) -> float:
    scale = max(float(problem.highest.sum()), 1e-300)
    program = _classes(problem.lowest / scale, problem.highest / scale)
    totals = _totals(program, problem)
    program.cost[totals] = -1.0
    for part, allowed in zip(problem.parts, slack, strict=True):
        for v, members in enumerate(_members(part) if part.drawable else []):
            for sign in (1.0, -1.0):
                terms = [(members, sign), (totals + part.whole, -sign * part.wanted[v] - allowed[v])]
                program.row("below", terms)
    found = program.solve()
    return 0.0 if found is None else float(found[totals]) * scale


def _least_slack(problem: Problem, tolerance: float) -> list[Floats]:
    """[V] for every part: the tolerance each value needs at least, whatever the size of the plan.

    The caps are scaled by an unknown t (1 / size), so that a small plan, whose caps are out of reach, is allowed.
    """
    classes = len(problem.natural)
    program = _classes(np.zeros(classes), np.where(problem.highest > 0, np.inf, 0.0))
    totals = _totals(program, problem)
    program.low[totals] = program.high[totals] = 1.0
    scale = program.unknowns(1, high=1.0)
    for k in np.flatnonzero(problem.lowest > 0):
        program.row("equal", [(k, 1.0), (scale, -problem.lowest[k])])
    if (problem.lowest > 0).any():
        for k in np.flatnonzero(problem.highest > problem.lowest):
            program.row("below", [(k, 1.0), (scale, -problem.highest[k])])
    for part in problem.parts:
        _soft(program, part, totals + part.whole, tolerance)
    found = program.solve()
    assert found is not None, "some plan exists, and deviation is allowed"
    return [_needed(part, found[:classes], tolerance) for part in problem.parts]


def _needed(part: Part, units: Floats, tolerance: float) -> Floats:
    off = np.abs(part.realised(units) - part.wanted)
    allowed = part.tolerances(tolerance)
    return np.where(off > allowed, off * (1 + 1e-6) + 1e-9, allowed)


def nearest_exact(problem: Problem, size: float, near: Floats, wanted: Sequence[Floats]) -> Floats | None:
    """[K] units with exactly the wanted shares, as near to `near` as can be (least relative change); None if there are none.

    For shares that a fitting only approaches: those at the edge of what the data hold.
    """
    start = near / size
    program = _classes(np.zeros(len(near)), np.maximum(problem.highest / size - start, 0))
    change = (1 / (start + start.mean() + 1e-300)).tolist()
    program.cost = list(change)
    down = program.unknowns(len(near))
    program.cost[down:], program.high[down:] = change, np.maximum(start - problem.lowest / size, 0).tolist()
    everything = np.arange(len(near))
    program.row("equal", [(everything, 1.0), (down + everything, -1.0)], 1 - float(start.sum()))
    for part, shares in zip(problem.parts, wanted, strict=True):
        _exact(program, part, problem.inside[part.whole], shares, start, down)
    found = program.solve()
    return None if found is None else near + (found[: len(near)] - found[down : down + len(near)]) * size


def _exact(program: Program, part: Part, inside: Mask, shares: Floats, start: Floats, down: int) -> None:
    """Rows: what a part's values lack of their shares is made up for. A total of its own keeps the rows sparse."""
    if not shares.sum() > 0:
        return
    total = program.unknowns(1, low=-np.inf)
    members = np.flatnonzero(inside)
    program.row("equal", [(members, 1.0), (down + members, -1.0), (total, -1.0)])
    sums = part.sums(start)
    for v, of_value in enumerate(_members(part)):
        terms = [(of_value, 1.0), (down + of_value, -1.0), (total, -shares[v])]
        program.row("equal", terms, float(shares[v] * sums.sum() - sums[v]))


def _classes(low: Floats, high: Floats) -> Program:
    return Program([0.0] * len(low), low.tolist(), high.tolist())


def _totals(program: Program, problem: Problem) -> int:
    """Adds the total of every whole as an unknown, which keeps the rows of values sparse; the first is the plan's."""
    first = program.unknowns(len(problem.wholes))
    for k, inside in enumerate(problem.inside):
        program.row("equal", [(np.flatnonzero(inside), 1.0), (first + k, -1.0)])
    return first


def _soft(program: Program, part: Part, total: int, tolerance: float) -> None:
    if not part.drawable:
        return
    weight = INNER ** len(part.demand.within)
    values = len(part.values)
    surplus = program.unknowns(2 * values, cost=weight * WITHIN_TOLERANCE)
    beyond = program.unknowns(values, cost=weight)
    highest = program.unknowns(1, cost=weight * SPREAD)
    allowed = part.tolerances(tolerance)
    for v, members in enumerate(_members(part)):
        plus, minus, share = surplus + v, surplus + values + v, float(part.wanted[v])
        program.row("equal", [(members, 1.0), (total, -share), (plus, -1.0), (minus, 1.0)])
        program.row("below", [(plus, 1.0), (minus, 1.0), (total, -allowed[v]), (beyond + v, -1.0)])
        if share > 0:
            program.row("below", [(plus, 1.0), (highest, -share)])


def _members(part: Part) -> list[Any]:
    """Classes of every value of a part."""
    order = np.argsort(part.codes, kind="stable")
    edges = np.searchsorted(part.codes[order], np.arange(len(part.values) + 1))
    return [order[start:stop] for start, stop in pairwise(edges)]
