"""The mixture problem in the form the mathematics wants: units instead of draws, classes instead of cells.

Cells that no demand tells apart form a class, so that axes which only a curriculum asks about cost nothing here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.mixture.cells import Cells, Floats, Ints, Mask, Within, sums_by
from curate.mixture.quotas import Demand

OUTSIDE = -1
"""Code of a class that lies outside the part a demand is about."""


@dataclass(frozen=True)
class Part:
    """One demand on the classes: values are numbered, the listed ones first, then those that only occur."""

    demand: Demand
    whole: int  # which of `Problem.wholes` the shares are shares of
    values: list[str]  # [V]
    codes: Ints  # [K] number of each class's value, OUTSIDE
    requested: Floats  # [V] shares, as asked
    wanted: Floats  # [V] shares over the values that can be drawn at all

    @property
    def drawable(self) -> bool:
        """Whether any value that was asked for exists; where none does, the demand moves nothing."""
        return bool(self.wanted.sum() > 0)

    def tolerances(self, tolerance: float) -> Floats:
        """[V] the tolerance, and 0 for values that shall get nothing."""
        return np.where(self.wanted > 0, tolerance, 0.0)

    def sums(self, units: Floats) -> Floats:
        """[V] units of each value, from units [K] by class."""
        inside = self.codes >= 0
        return sums_by(self.codes[inside], units[inside], len(self.values))

    def realised(self, units: Floats) -> Floats:
        """[V] shares that units [K] by class give; 0 where the part is empty."""
        sums = self.sums(units)
        total = float(sums.sum())
        return sums / total if total > 0 else sums


@dataclass(frozen=True)
class Problem:
    """Demands on K classes of cells. All amounts are in units."""

    cells: Cells
    member: Ints  # [C] class of each cell
    natural: Floats  # [K] units available, each sample once
    lowest: Floats  # [K] fixed units (full replay)
    highest: Floats  # [K] most units
    wholes: list[Within]
    inside: list[Mask]  # [K] for every whole
    parts: list[Part]

    @property
    def codes(self) -> list[Ints]:
        """[C] codes of every part by cell."""
        return [part.codes[self.member] for part in self.parts]

    def by_class(self, amounts: Floats) -> Floats:
        """[K] sums of amounts [C]."""
        return sums_by(self.member, amounts, len(self.natural))


def problem_of(cells: Cells, demands: Sequence[Demand]) -> Problem:
    """The problem that demands pose on cells."""
    numbered = [_numbered(cells, demand) for demand in demands]
    keys = np.stack([cells.fixed.astype(np.int64), *(codes for _, codes in numbered)])
    _, first, member = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    member = member.reshape(-1).astype(np.int64)

    def total(amounts: Floats) -> Floats:
        return sums_by(member, amounts, len(first))

    highest = total(cells.highest * cells.units)
    wholes = list(dict.fromkeys([(), *(demand.within for demand in demands)]))
    return Problem(
        cells,
        member,
        natural=total(cells.samples * cells.units),
        lowest=total(cells.lowest * cells.units),
        highest=highest,
        wholes=wholes,
        inside=[cells.inside(within)[first] for within in wholes],
        parts=[
            _part(demand, wholes.index(demand.within), values, codes[first], highest)
            for demand, (values, codes) in zip(demands, numbered, strict=True)
        ],
    )


def _numbered(cells: Cells, demand: Demand) -> tuple[list[str], Ints]:
    """Values of a demand, listed ones first, and [C] the number of each cell's value."""
    inside = cells.inside(demand.within)
    names, axis = cells.values[demand.axis], cells.axes[demand.axis]
    occurring = [names[code] for code in np.unique(axis[inside])]
    values = list(dict.fromkeys([*demand.shares, *occurring]))
    number = {value: i for i, value in enumerate(values)}
    numbers = np.array([number.get(name, OUTSIDE) for name in names], dtype=np.int64)
    return values, np.where(inside, numbers[axis], OUTSIDE) if len(names) else np.full(len(cells), OUTSIDE)


def _part(demand: Demand, whole: int, values: list[str], codes: Ints, highest: Floats) -> Part:
    requested = np.array([demand.shares.get(value, 0.0) for value in values])
    inside = codes >= 0
    held = sums_by(codes[inside], highest[inside], len(values)) > 0
    drawable = np.where(held, requested, 0.0)
    total = drawable.sum()
    return Part(demand, whole, values, codes, requested, drawable / total if total > 0 else drawable)
