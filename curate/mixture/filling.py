"""Cells filled to an amount of units with whole samples, so that the sums over every axis come out right.

Each cell by itself is filled as nearly as its samples allow. What remains is up to half a sample a cell, and such
remainders can add up for a value of an axis. So cells then give or take a sample or two where that brings the
sums of their values nearer to what they should be: coordinate descent on the sum of squared misses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.mixture.cells import Cells, Floats, Ints

GIVE = 2
"""Samples that a cell may have more or fewer than would fill it best."""

SWEEPS = 8
"""Rounds over all cells at most; it mostly settles in two or three."""


@dataclass
class Filling:
    """One cell while it is filled."""

    cell: int
    sequence: Ints  # samples in the order of drawing, as many as the cell may come to have
    fewest: int  # draws that `reached` begins with
    reached: list[float]  # units with fewest, fewest + 1, ... draws
    wanted: float
    at: int  # place in `reached`

    @property
    def chosen(self) -> Ints:
        """The samples that are drawn."""
        return self.sequence[: self.fewest + self.at]

    @property
    def miss(self) -> float:
        """Units too many."""
        return self.reached[self.at] - self.wanted

    def moves(self) -> list[tuple[int, float]]:
        """(place, units more) for one sample less and one more, where the cell may."""
        places = (place for place in (self.at - 1, self.at + 1) if 0 <= place < len(self.reached))
        return [(place, self.reached[place] - self.reached[self.at]) for place in places]


def filling(cell: int, sequence: Ints, units: Floats, wanted: float) -> Filling:
    """The cell as nearly filled as can be; `sequence` is at most as long as its limit, units [S]."""
    reached = np.concatenate([[0.0], np.cumsum(units[sequence])])
    over = min(int(np.searchsorted(reached, wanted)), len(sequence))
    below = over > 0 and wanted - reached[over - 1] < reached[over] - wanted
    best = over - 1 if below else over
    fewest, most = max(0, best - GIVE), min(len(sequence), best + GIVE)
    return Filling(cell, sequence[:most], fewest, reached[fewest : most + 1].tolist(), wanted, best - fewest)


def settle(fillings: Sequence[Filling], cells: Cells) -> None:
    """Moves cells by a sample or two until no single move brings the sums over the axes nearer to what is wanted."""
    axes = [codes for axis, codes in cells.axes.items() if len(cells.values[axis]) > 1]
    misses = [np.zeros(len(names)).tolist() for names in (cells.values[a] for a in cells.axes) if len(names) > 1]
    places = [[int(codes[each.cell]) for codes in axes] for each in fillings]
    for each, values in zip(fillings, places, strict=True):
        _add(misses, values, each.miss)
    for _ in range(SWEEPS):
        if not sum(_moved(each, misses, values) for each, values in zip(fillings, places, strict=True)):
            return


def _moved(each: Filling, misses: list[list[float]], values: Sequence[int]) -> bool:
    """Makes the better of a cell's moves when it lowers the sum of squares."""
    now = [miss[value] for miss, value in zip(misses, values, strict=True)]
    costs = [(sum((old + more) ** 2 - old**2 for old in now), place, more) for place, more in each.moves()]
    cost, place, more = min(costs, default=(0.0, 0, 0.0))
    if cost >= -1e-9:
        return False
    each.at = place
    _add(misses, values, more)
    return True


def _add(misses: list[list[float]], values: Sequence[int], more: float) -> None:
    for miss, value in zip(misses, values, strict=True):
        miss[value] += more
