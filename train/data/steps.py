"""Which episodes every step trains on: global batches as a pure function of (plan, lengths, settings, cursor).

An epoch is a run of windows; a window is packed into rows; rows follow one another across windows and
epochs without a gap, and every step takes the next `batch` of them. Where a step begins is a `Cursor` of three
numbers, so going on after an interruption packs one window and reads nothing that was read before.
Ranks only decide who computes which row of a step, never which rows a step has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curate.shards.plans import Plan
from train.data.lengths import Lengths
from train.data.order import Order
from train.data.packing import pack

Episodes = tuple[int, ...]
"""Sample numbers of the episodes that share a row; () for a row of padding."""


@dataclass(frozen=True, order=True)
class Cursor:
    """The next row to be served."""

    epoch: int = 0
    window: int = 0
    row: int = 0


@dataclass(frozen=True)
class Step:
    """One global batch, and where the next one begins."""

    number: int
    rows: tuple[Episodes, ...]
    after: Cursor


@dataclass(frozen=True)
class RowLimits:
    """What fits into one row."""

    max_tokens: int
    max_images: int | None = None


class Rows:
    """The rows of every window of every epoch."""

    def __init__(
        self, plan: Plan, seed: int, window: int, lengths: Lengths | None = None, limits: RowLimits | None = None
    ) -> None:
        """Without `lengths` every sample is used; without `limits` every episode has a row of its own."""
        assert limits is None or lengths is not None, "packing needs lengths"
        self._order, self._samples = Order(plan.manifest.blocks, seed, window), plan.order
        self._lengths, self._limits = lengths, limits
        self.of = lru_cache(maxsize=4)(self._of)

    @property
    def windows(self) -> int:
        """Windows of one epoch."""
        return self._order.windows

    def _of(self, epoch: int, window: int) -> list[Episodes]:
        samples = self._samples[self._order.rows(epoch, window)].astype(np.int64)
        if self._lengths is not None:
            samples = samples[self._lengths.tokens[samples] > 0]
        if self._limits is None or self._lengths is None:
            return [(sample,) for sample in samples.tolist()]
        tokens, images = self._lengths.tokens[samples], self._lengths.images[samples]
        packs = pack(tokens, images, self._limits.max_tokens, self._limits.max_images)
        numbers = samples.tolist()
        return [tuple(numbers[place] for place in places) for places in packs]

    def images_of(self, row: Episodes) -> int:
        """Pictures in a row, 0 where lengths are unknown."""
        return int(self._lengths.images[list(row)].sum()) if self._lengths is not None and row else 0


def steps(rows: Rows, batch: int, start: Cursor, number: int = 0, epochs: int | None = None) -> Iterator[Step]:
    """Global batches of `batch` rows from a cursor on; the last one of the last epoch may be smaller."""
    taken: list[Episodes] = []
    for row, after in _served(rows, start, epochs):
        taken.append(row)
        if len(taken) == batch:
            yield Step(number, tuple(taken), after)
            number, taken = number + 1, []
    if taken:
        yield Step(number, tuple(taken), Cursor(epochs or 0))


def _served(rows: Rows, at: Cursor, epochs: int | None) -> Iterator[tuple[Episodes, Cursor]]:
    """Every row with the cursor behind it."""
    epoch, window, row = at.epoch, at.window, at.row
    idle = 0  # windows in a row without a single usable episode
    while (epochs is None or epoch < epochs) and idle < max(1, rows.windows):
        served = rows.of(epoch, window) if window < rows.windows else []
        for place in range(row, len(served)):
            yield served[place], Cursor(epoch, window, place + 1)
        idle = 0 if served else idle + 1
        epoch, window, row = (epoch, window + 1, 0) if window + 1 < rows.windows else (epoch + 1, 0, 0)


def dealt(rows: Sequence[Episodes], world: int, weights: Sequence[int]) -> list[list[Episodes]]:
    """The rows of a step over `world` ranks: equally many for each, rows of padding where they do not divide,
    and about equally many pictures: rows are dealt heaviest first, back and forth."""
    share = -(-len(rows) // world)
    heaviest = sorted(range(len(rows)), key=lambda place: (-weights[place], place))
    hands: list[list[Episodes]] = [[] for _ in range(world)]
    for turn, place in enumerate(heaviest):
        lap, seat = divmod(turn, world)
        hands[seat if lap % 2 == 0 else world - 1 - seat].append(rows[place])
    return [hand + [()] * (share - len(hand)) for hand in hands]


def chunks(rows: Sequence[Episodes], size: int) -> list[list[Episodes]]:
    """Rows of a rank as micro-batches of at most `size`."""
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]
