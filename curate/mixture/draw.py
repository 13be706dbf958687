"""From draws per cell to samples, and from samples to an order.

Each cell is one sequence: its samples in a random order, then again in another, and so on. Drawing takes the
sequence from its beginning, so no sample comes twice before each has come once, and blocks take one stretch of
it after another.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate.mixture.cells import Cells, Floats, Ints, Mask
from curate.mixture.filling import Filling, filling, settle
from curate.seeding import rng

STAGE = "mix"
Numbers = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Drawn:
    """The samples of a plan, cell by cell."""

    samples: Numbers  # [N] sample numbers, each cell's in the order of its sequence
    draws: Ints  # [C] how many of each cell
    units: Floats  # [C] units of these


def draw(cells: Cells, cell_of: Ints, draws: Ints, units: Floats, seed: int, by_units: bool) -> Drawn:
    """`draws` [C] samples of each cell (cell_of, units: [S]).

    With `by_units` cells are filled until their units, draws times the mean, are reached as nearly as whole samples
    allow, so that the sums over every axis are met; the number of draws may then differ by a few. Cells whose draws
    are fixed keep their number.
    """
    by_cell = np.argsort(cell_of, kind="stable")
    ends = np.cumsum(cells.samples)
    chosen: dict[int, Ints] = {}
    fillings: list[Filling] = []
    for cell in np.flatnonzero(draws > 0).tolist():
        members = by_cell[ends[cell] - cells.samples[cell] : ends[cell]]
        dice = rng(seed, STAGE, cell_name(cells, cell))
        if by_units and not cells.fixed[cell] and cells.units[cell] > 0:
            fillings.append(_filling(cells, cell, members, int(draws[cell]), units, dice))
        else:
            chosen[cell] = sequence(members, int(draws[cell]), dice)
    settle(fillings, cells)
    chosen |= {each.cell: each.chosen for each in fillings}
    return _drawn(chosen, units, len(cells))


def _drawn(chosen: dict[int, Ints], units: Floats, cells: int) -> Drawn:
    taken, sums = np.zeros(cells, np.int64), np.zeros(cells, np.float64)
    for cell, samples in chosen.items():
        taken[cell], sums[cell] = len(samples), units[samples].sum()
    pieces = [chosen[cell].astype(np.uint32) for cell in sorted(chosen)]
    return Drawn(np.concatenate(pieces) if pieces else np.zeros(0, np.uint32), taken, sums)


def cell_name(cells: Cells, cell: int) -> str:
    """What a cell's randomness is derived from: its values, not its place among the cells."""
    values = [f"{axis}={cells.values[axis][codes[cell]]}" for axis, codes in sorted(cells.axes.items())]
    return "|".join([*values, str(int(cells.limits[cell] // max(cells.samples[cell], 1))), str(bool(cells.fixed[cell]))])


def sequence(members: Ints, length: int, dice: np.random.Generator) -> Ints:
    """The first `length` of a cell's sequence: round after round, all members in a new order each."""
    rounds = -(-length // len(members))
    return np.concatenate([members[dice.permutation(len(members))] for _ in range(rounds)])[:length]


def _filling(cells: Cells, cell: int, members: Ints, draws: int, units: Floats, dice: np.random.Generator) -> Filling:
    wanted = draws * float(cells.units[cell])
    rounds = int(wanted / float(units[members].sum())) + 2  # what is wanted ends in the round before the last at the latest
    length = min(int(cells.highest[cell]), len(members) * rounds)
    return filling(cell, sequence(members, length, dice), units, wanted)


def ordered(drawn: Drawn, counts: Ints, seed: int) -> Numbers:
    """[N] the plan's order: `counts` [B, C] draws of each cell in each block, in a random order inside a block."""
    assert (counts.sum(axis=0) == drawn.draws).all(), "the blocks hold exactly what was drawn"
    blocks, cells = counts.shape
    block = np.repeat(np.tile(np.arange(blocks), cells), counts.T.ravel())  # [N] of each drawn sample
    dice = rng(seed, STAGE, "order").permutation(len(drawn.samples))
    return drawn.samples[dice][np.argsort(block[dice], kind="stable")]


def repeats(order: Numbers, samples: int) -> Ints:
    """[S] how often each sample stands in the order."""
    return np.bincount(order, minlength=samples).astype(np.int64)


def renumbered(order: Numbers, samples: int) -> tuple[Numbers, Ints]:
    """The order over the samples that occur in it alone, and [S'] which these are."""
    occurs: Mask = repeats(order, samples) > 0
    places = np.cumsum(occurs) - 1
    return places[order].astype(np.uint32), np.flatnonzero(occurs)
