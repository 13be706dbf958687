"""From demands to draws: how many samples of each cell make the mix that comes nearest to what was asked.

1. Shares. If the demands can be met, they are the shares; if not, a linear program finds the least deviation (least.py).
2. Of the many mixes with these shares, the one nearest to the natural proportions (natural.py): what nobody asked
   about keeps its spread. Where fitting only approaches it, a second linear program makes it exact.
3. Whole draws, with the sums kept (rounding.py).
4. For every share that is off by more than the tolerance, a sentence why (reasons.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.errors import ConfigError, InputError
from curate.mixture.cells import Cells, Floats, Ints, Within
from curate.mixture.least import largest, least_deviation, nearest_exact
from curate.mixture.natural import fit, spread
from curate.mixture.problem import Part, Problem, problem_of
from curate.mixture.quotas import Demand
from curate.mixture.reasons import reason, size_notes
from curate.mixture.rounding import rounded

USED = (0.9, 0.6, 0.3, 0.0)
"""Parts of the tolerance that the largest plan uses, tried in this order: the rest is for rounding to whole draws."""
CLOSE = 0.1
"""Part of the tolerance by which a fitted mix may miss before a linear program is asked."""


@dataclass(frozen=True)
class ShareRow:
    """One line of the realised-mix table. Shares are 0..1 of the units inside `within`."""

    axis: str
    within: Within
    value: str
    requested: float
    realised: float
    reason: str = ""  # "" within tolerance; else why the data cannot give it, the nearest, and what would cure it


@dataclass(frozen=True)
class Mix:
    """Draws per cell, and what they make of the demands."""

    draws: Ints  # [C]
    rows: list[ShareRow]
    size: float  # units in the plan
    notes: tuple[str, ...] = ()  # about the size: what kept it from being larger, or why the asked one is not reached


def solve(cells: Cells, demands: Sequence[Demand], size: float | None, tolerance: float = 0.5) -> Mix:
    """The mix of `size` units (None: the largest within `tolerance`, in points) nearest to the demands.

    A size that the caps or a full replay do not allow becomes the nearest possible one, with a note. Deterministic.
    InputError when nothing can be drawn, ConfigError for a size or tolerance out of range.
    """
    _check(cells, size, tolerance)
    problem = problem_of(cells, demands)
    draws = _largest(problem, tolerance / 100) if size is None else _of_size(problem, size, tolerance / 100)[0]
    units = problem.by_class(draws * cells.units)
    return Mix(draws, _rows(problem, units, tolerance), float(units.sum()), size_notes(problem, units, size))


def _check(cells: Cells, size: float | None, tolerance: float) -> None:
    if size is not None and not 0 < size < float("inf"):
        raise ConfigError(f"the size of a plan must be above 0, not {size}")
    if not 0 < tolerance <= 100:
        raise ConfigError(f"the tolerance must lie above 0 and not above 100 points, not {tolerance}")
    if not (cells.highest * cells.units > 0).any():
        raise InputError("the sources hold no sample that could be drawn; check the sources and max_repeats")


def _largest(problem: Problem, tolerance: float) -> Ints:
    """[C] draws of the largest plan whose shares survive rounding: the less of the tolerance it uses, the smaller it is."""
    best, least = np.zeros(len(problem.cells), dtype=np.int64), np.inf
    for used in USED:
        draws, beyond = _of_size(problem, largest(problem, tolerance * used), tolerance, downwards=True)
        after = _beyond(problem, problem.by_class(draws * problem.cells.units), tolerance)
        if after < least - 1e-12:
            best, least = draws, after
        if after <= beyond + 1e-9:
            break
    return best


def _of_size(problem: Problem, size: float, tolerance: float, downwards: bool = False) -> tuple[Ints, float]:
    """[C] draws that make `size` units as far as caps and fixed draws allow; and what is beyond tolerance before rounding."""
    aimed = float(np.clip(size, max(problem.lowest.sum(), 1e-9), problem.highest.sum()))
    units = _units(problem, aimed, tolerance)
    return _whole(problem, spread(problem, units), aimed, downwards), _beyond(problem, units, tolerance)


def _beyond(problem: Problem, units: Floats, tolerance: float) -> float:
    """Sum over all shares of what is off beyond the tolerance; units [K] by class."""
    off = (np.abs(part.realised(units) - part.requested) for part in problem.parts)
    return float(sum(np.maximum(o - tolerance, 0).sum() for o in off))


def _units(problem: Problem, size: float, tolerance: float) -> Floats:
    """[K] units of every class."""
    wanted = [part.wanted for part in problem.parts]
    fitted = fit(problem, size, wanted)
    if fitted.miss <= tolerance * CLOSE:
        return fitted.units
    fitted = fit(problem, size, [_capped(problem, part, size, tolerance) for part in problem.parts])
    if fitted.miss <= tolerance * CLOSE:
        return fitted.units
    least = least_deviation(problem, size, tolerance * USED[0])
    within_reach = [part.realised(least) if part.drawable else part.wanted for part in problem.parts]
    fitted = fit(problem, size, within_reach)
    if fitted.miss <= tolerance * CLOSE:
        return fitted.units
    exact = nearest_exact(problem, size, fitted.units, within_reach)
    return least if exact is None else np.clip(exact, problem.lowest, problem.highest)


def _capped(problem: Problem, part: Part, size: float, tolerance: float) -> Floats:
    """[V] the wanted shares cut at what there is, the others raised in proportion; as they were where that goes beyond
    the tolerance or the part is not the whole.

    If all demands can be met with these, no mix deviates less, and the linear program, slow over thousands of
    values, need not be asked.
    """
    if problem.wholes[part.whole]:
        return part.wanted
    most, shares = part.sums(problem.highest) / size, part.wanted
    while (over := shares > most * (1 + 1e-9)).any():
        shares = np.where(over, most, shares)
        room = (shares > 0) & (shares < most)
        lack = 1 - float(shares.sum())
        if not room.any():
            return part.wanted
        shares = np.where(room, shares * (1 + lack / float(shares[room].sum())), shares)
    return shares if float(np.abs(shares - part.wanted).max(initial=0)) <= tolerance * USED[0] else part.wanted


def _whole(problem: Problem, units: Floats, size: float, downwards: bool) -> Ints:
    """[C] draws, exactly `size` of them when the unit is the sample. `downwards`: the largest plan is not rounded up."""
    cells = problem.cells
    real = np.divide(units, cells.units, out=np.zeros_like(units), where=cells.units > 0)
    real *= size / max(units.sum(), 1e-300)
    real = np.clip(real, cells.lowest, cells.highest)  # fixed draws of no units count too
    number = size if (cells.units == 1).all() else float(real.sum())
    total = int(np.floor(number + 1e-6) if downwards else np.round(number + 1e-9))
    return rounded(real, cells.lowest, cells.highest, problem.codes, cells.units, total)


def _rows(problem: Problem, units: Floats, tolerance: float) -> list[ShareRow]:
    """Requested beside realised for every value that was asked for or that is in the part nevertheless."""
    return [row for part in problem.parts for row in _part_rows(problem, part, units, tolerance)]


def _part_rows(problem: Problem, part: Part, units: Floats, tolerance: float) -> list[ShareRow]:
    realised = part.realised(units)
    off = np.abs(realised - part.requested) * 100 > tolerance + 1e-9
    why = {int(v): reason(problem, units, part, int(v), tolerance) for v in np.flatnonzero(off)}
    return [
        ShareRow(part.demand.axis, part.demand.within, value, float(part.requested[v]), float(realised[v]), why.get(v, ""))
        for v, value in enumerate(part.values)
        if value in part.demand.shares or realised[v] > 0
    ]
