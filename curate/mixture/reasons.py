"""Why a share is off: one sentence with the cause, the nearest share there is, and what would cure it.

Causes are looked for in this order, and the first that alone makes the asked share impossible is named: there is
nothing of the value; too few draws of it; a full replay holds too much; it stands in for a value that does not
exist; another demand leaves no room or forces more; the plan is too small to be split so finely; a sibling is short
and this value takes its place. What none of these explains comes from several demands together.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curate.mixture.cells import Cells, Floats, Ints
from curate.mixture.problem import Part, Problem
from curate.mixture.quotas import place
from curate.registry import nearest

LIKENESS = 0.7
"""How like a value must be to be suggested: 'relation' is not meant for 'caption'."""
NAMED = 3
"""At most so many values are named in one sentence."""


@dataclass(frozen=True)
class Case:
    """One value whose share is off. Amounts are in units."""

    problem: Problem
    part: Part
    value: int  # number of the value in the part
    units: Floats  # [K] of the realised mix by class
    slack: float  # tolerance, as a share

    @property
    def name(self) -> str:
        """'format=caption', with the part it is inside of."""
        demand = self.part.demand
        inside = f" inside {place(demand.within)}" if demand.within else ""
        return f"{demand.axis}={self.part.values[self.value]}{inside}"

    @property
    def total(self) -> float:
        """Units in the part."""
        return float(self.units[self.problem.inside[self.part.whole]].sum())

    @property
    def share(self) -> float:
        """The share asked for."""
        return float(self.part.requested[self.value])

    @property
    def realised(self) -> float:
        """The share that came of it."""
        return float(self.part.realised(self.units)[self.value])

    @property
    def need(self) -> float:
        """Units that the asked share would take."""
        return self.share * self.total

    def of_value(self, amounts: Floats) -> float:
        """The sum of amounts [K] over the value."""
        return float(amounts[self.part.codes == self.value].sum())


def reason(problem: Problem, units: Floats, part: Part, value: int, tolerance: float) -> str:
    """One sentence on a value whose realised share is off by more than `tolerance` points; units [K] by class."""
    case = Case(problem, part, value, units, tolerance / 100)
    why = next(filter(None, (cause(case) for cause in CAUSES)), "") or _together(case)
    return f"{why}; the nearest is {case.realised:.1%} instead of {case.share:.1%}"


def _absent(case: Case) -> str:
    cells, demand = case.problem.cells, case.part.demand
    for axis, value in demand.within:
        if not cells.having(axis, value).any():
            return f"there is no sample with {axis}={value}{nearest(value, cells.values[axis], LIKENESS)}"
    if case.of_value(case.problem.highest) > 0 or case.share == 0:
        return ""
    value = case.part.values[case.value]
    known = value in cells.values[demand.axis]
    return f"there is no sample with {case.name}" + ("" if known else nearest(value, cells.values[demand.axis], LIKENESS))


def _empty(case: Case) -> str:
    if case.total > 0:
        return ""
    return f"nothing of {place(case.part.demand.within)} is in the plan, so that its parts have no shares"


def _too_few(case: Case) -> str:
    held, most = case.of_value(case.problem.natural), case.of_value(case.problem.highest)
    if not most < case.need - case.slack * case.total:
        return ""
    fewer = math.floor(case.units.sum() * most / case.need)
    cure = f"max_repeats {math.ceil(case.need / held - 1e-9)}" if held > 0 else "more samples"
    return (
        f"{_amount(case.problem.cells, case.need)} of {case.name} are needed and there are {held:,.0f}, "
        f"at most {most:,.0f} draws' worth (cure: {cure}, or a size of at most {fewer:,})"
    )


def _replayed(case: Case) -> str:
    """Fixed draws of this value, or of its siblings, are more than their share."""
    fixed = case.part.sums(case.problem.lowest)
    most = case.part.requested * case.total
    over = np.flatnonzero(fixed > most + case.slack * case.total)
    if not len(over) or (case.realised > case.share and case.value not in over):
        return ""
    first = case.value if case.value in over else int(over[0])
    share = float(case.part.requested[first])
    cure = f" (cure: a size of at least {math.ceil(case.units.sum() * fixed[first] / most[first]):,})" if share > 0 else ""
    what = f"{case.part.demand.axis}={case.part.values[first]}"
    return (
        f"the full replay alone holds {_amount(case.problem.cells, float(fixed[first]))} of {what}, more than its share{cure}"
    )


def _instead(case: Case) -> str:
    """The value stands in for siblings that do not exist."""
    part = case.part
    gone = np.flatnonzero((part.requested > 0) & (part.wanted == 0))
    if case.realised <= case.share or part.requested[gone].sum() <= case.slack or case.share == 0:
        return ""
    return f"{case.name} takes the place of {_named(part, gone)}, of which there is nothing"


def _contradiction(case: Case) -> str:
    for other in case.problem.parts:
        if other is case.part or not other.drawable:
            continue
        fewest, most = _reach(case, other)
        axis = other.demand.axis + (f" inside {place(other.demand.within)}" if other.demand.within else "")
        if case.realised < case.share and most < case.need - case.slack * case.total:
            return f"the shares asked for {axis} leave room for no more of {case.name} than {most / case.total:.1%}"
        if case.realised > case.share and fewest > case.need + case.slack * case.total:
            return f"the shares asked for {axis} take no less of {case.name} than {fewest / case.total:.1%}"
    return ""


def _reach(case: Case, other: Part) -> tuple[float, float]:
    """Fewest and most units of the value when the other demand is met to the letter, the caps being what they are."""
    highest, lowest = case.problem.highest, case.problem.lowest
    mine = case.part.codes == case.value
    budget = other.wanted * float(case.units[case.problem.inside[other.whole]].sum())
    most = np.minimum(other.sums(np.where(mine, highest, 0)), budget).sum()
    rest = budget - other.sums(np.where(mine, 0, highest))
    fewest = np.maximum(other.sums(np.where(mine, lowest, 0)), rest).sum()
    outside = mine & (other.codes < 0)
    return float(fewest + lowest[outside].sum()), float(most + highest[outside].sum())


def _too_small(case: Case) -> str:
    cells = case.problem.cells
    mine = (case.part.codes[case.problem.member] == case.value) & (cells.limits > 0)
    one = float(cells.units[mine].max(initial=0))
    if abs(case.realised - case.share) * case.total > one * (1 + 1e-9) or one <= 2 * case.slack * case.total:
        return ""
    where = "the plan" if not case.part.demand.within else f"the part {place(case.part.demand.within)}"
    larger = math.ceil(case.units.sum() * one / (2 * case.slack * case.total))
    points = 100 * one / case.total
    axis = f"{case.part.demand.axis}={case.part.values[case.value]}"
    return f"{where} is so small that one sample of {axis} is {points:.1f} points of it (cure: a size of at least {larger:,})"


def _siblings(case: Case) -> str:
    off = case.part.requested - case.part.realised(case.units)
    short = np.flatnonzero((off if case.realised > case.share else -off) > case.slack)
    if not len(short):
        return ""
    names = _named(case.part, short)
    if case.realised > case.share:
        return f"{case.name} takes the place of what is missing of {names}"
    return f"{case.name} gives way to {names}, of which the data force more"


def _named(part: Part, values: Ints) -> str:
    names = ", ".join(part.values[v] for v in values[:NAMED])
    return names + (f" and {len(values) - NAMED} more" if len(values) > NAMED else "")


def _together(case: Case) -> str:
    axes = ", ".join(dict.fromkeys(part.demand.axis for part in case.problem.parts))
    return f"the demands on {axes} cannot all be met together by the samples there are"


CAUSES: tuple[Callable[[Case], str], ...] = (
    _absent, _empty, _too_few, _replayed, _instead, _contradiction, _too_small, _siblings,
)  # fmt: skip


def size_notes(problem: Problem, units: Floats, asked: float | None) -> tuple[str, ...]:
    """What kept the largest plan from being larger, or why the asked size is not reached; units [K] by class."""
    size, one = float(units.sum()), float(problem.cells.units.max())
    if asked is None:
        return (f"no larger plan than {_amount(problem.cells, size)} keeps the mix: {_held_by(problem, units, one)}",)
    if size < asked - one:
        held = _amount(problem.cells, float(problem.highest.sum()))
        return (f"the size asked for is {asked:,.0f} and the data give at most {held} (cure: max_repeats, or more data)",)
    if size > asked + one:
        return (f"the size asked for is {asked:,.0f} and the full replay alone is {_amount(problem.cells, size)}",)
    return ()


def _held_by(problem: Problem, units: Floats, one: float) -> str:
    if problem.highest.sum() - units.sum() < one:
        return "it holds every draw there is"
    used_up = [
        f"{part.demand.axis}={part.values[v]}" + (f" inside {place(part.demand.within)}" if part.demand.within else "")
        for part in problem.parts
        for v in np.flatnonzero((part.wanted > 0) & (part.sums(problem.highest) - part.sums(units) < 1.5 * one))
    ]
    if not used_up:
        return "the demands together leave no further draw"
    names = " and ".join(used_up[:NAMED]) + (f" and {len(used_up) - NAMED} more" if len(used_up) > NAMED else "")
    return f"every draw of {names} is in it (cure: max_repeats, a lower share, or more data)"


def _amount(cells: Cells, units: float) -> str:
    """Units in words: samples when the unit is the sample."""
    return f"{units:,.0f} {'samples' if (cells.units == 1).all() else 'units'}"
