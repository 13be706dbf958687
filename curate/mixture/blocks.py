"""Fixed draws over blocks: a real-valued table by iterative proportional fitting, whole numbers, then single cells.

Cells with the same values on all scheduled axes are one kind; the table is kinds x blocks, and only its rounding
touches what was drawn. Rows (draws of a kind) and columns (draws of a block) are kept exactly, scheduled shares as
nearly as the kinds allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.mixture.cells import Floats, Ints
from curate.mixture.rounding import rounded

ROUNDS = 300
CONVERGED = 1e-9
FAINT = 1e-9
"""Share that stands for none: with true zeros, contradicting schedules could leave a kind no block at all."""
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Target:
    """Shares that the values of one scheduled axis shall have in each block, of all units or of those of a part."""

    codes: Ints  # [K] value of each kind, -1 for kinds outside the part
    shares: Floats  # [B, V] of the part's units


def fitted(totals: Floats, sizes: Floats, targets: Sequence[Target]) -> Floats:
    """[B, K] units of each kind in each block, real-valued: margins `totals` [K] and `sizes` [B], near the targets."""
    real = np.outer(sizes, totals) / max(totals.sum(), 1e-300)
    for _ in range(ROUNDS if targets else 0):
        before = real
        for target in targets:
            real = _towards(real, target)
        real = _margins(real, totals, sizes)
        if np.abs(real - before).max(initial=0) <= CONVERGED * max(totals.sum(), 1):
            break
    return _settled(real, totals, sizes)


def _towards(real: Floats, target: Target) -> Floats:
    """The table with the target's shares, as far as the draws of every value allow them."""
    inside = target.codes >= 0
    codes = target.codes[inside]
    sums = _by_value(real[:, inside], codes, target.shares.shape[1])
    held, sizes = sums.sum(axis=0), sums.sum(axis=1)
    faint = FAINT * np.outer(sizes, held) / max(held.sum(), 1e-300)
    reachable = _settled(target.shares * sizes[:, None] + faint, held, sizes, rounds=10)
    moved = real.copy()
    moved[:, inside] *= _ratio(reachable, sums)[:, codes]
    return moved


def _settled(table: Floats, totals: Floats, sizes: Floats | Ints, rounds: int = ROUNDS) -> Floats:
    for _ in range(rounds):
        before = table
        table = _margins(table, totals, sizes)
        if np.abs(table - before).max(initial=0) <= CONVERGED:
            break
    return table


def _margins(table: Floats, totals: Floats, sizes: Floats | Ints) -> Floats:
    table = table * _ratio(np.asarray(sizes, dtype=np.float64), table.sum(axis=1))[:, None]
    return table * _ratio(totals, table.sum(axis=0))[None, :]


def _ratio(wanted: Floats, there: Floats) -> Floats:
    ratio = np.zeros_like(there)
    np.divide(wanted, there, out=ratio, where=there > 0)
    return ratio


def _by_value(table: Floats, codes: Ints, values: int) -> Floats:
    """[B, V] sums of a table [B, K] over the kinds of each value."""
    sums = np.zeros((values, len(table)))
    np.add.at(sums, codes, table.T)
    return sums.T


def whole_table(real: Floats, totals: Floats, sizes: Ints, margins: Sequence[Ints]) -> Ints:
    """[B, K] whole draws near `real` with margins `totals` and `sizes`.

    Block after block, what is due so far is rounded, never below what is already laid out.
    """
    whole = totals.astype(np.int64)
    so_far = [np.zeros(len(totals), dtype=np.int64)]
    running = np.cumsum(real, axis=0)
    running *= _ratio(np.cumsum(sizes).astype(np.float64), running.sum(axis=1))[:, None]
    for due in running[:-1]:
        so_far.append(rounded(due, so_far[-1], whole, margins))
    return np.diff([*so_far, whole], axis=0)


def dealt(draws: Ints, kinds: Ints, table: Ints) -> Ints:
    """[B, C] draws of each cell in each block, given those of its kind: every cell spread evenly over its kind's draws.

    The k-th of n draws of a cell stands at (k + phase) / n of its kind's line; phases follow the golden ratio, so that
    cells with a single draw do not all stand in the middle.
    """
    cells = np.repeat(np.arange(len(draws)), draws)
    nth = np.arange(len(cells)) - np.repeat(np.cumsum(draws) - draws, draws)
    phase = _within_kind(kinds) * GOLDEN % 1.0
    place = (nth + phase[cells]) / draws[cells]
    line = cells[np.lexsort((cells, place, kinds[cells]))]
    blocks = np.repeat(np.tile(np.arange(len(table)), table.shape[1]), table.T.reshape(-1))
    counts = np.bincount(blocks * len(draws) + line, minlength=len(table) * len(draws))
    return counts.reshape(len(table), len(draws)).astype(np.int64)


def _within_kind(kinds: Ints) -> Floats:
    """[C] each cell's number among the cells of its kind."""
    order = np.argsort(kinds, kind="stable")
    first = np.searchsorted(kinds[order], kinds[order])
    number = np.empty(len(kinds))
    number[order] = np.arange(len(kinds)) - first
    return number
