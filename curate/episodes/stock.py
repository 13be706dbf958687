"""The demonstrations that one format can use, grouped the ways selectors ask for them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curate.episodes.dice import Dice, Ints, Mask
from curate.episodes.pool import Codes, Groups, Pool, ranked_within


@dataclass(frozen=True)
class Reading:
    """The demonstrations of every document and task, one after the other, each document in its order."""

    rows: Ints  # [U]
    at: Ints  # [N] where a row stands in `rows`, -1 where its place is unknown
    earlier: Ints  # [N] how many of its document and task stand before it, -1 where its place is unknown


@dataclass(frozen=True, eq=False)
class Stock:
    """A pool and the demonstrations of it that a format accepts."""

    pool: Pool
    usable: Mask  # [N]

    @cached_property
    def by_task(self) -> Groups:
        """Rows of every task."""
        return self._grouped(self.pool.tasks)

    @cached_property
    def by_concept(self) -> Groups:
        """Rows of every most specific concept."""
        return self._grouped(self.pool.concepts, len(self.pool.names))

    @cached_property
    def by_broader(self) -> Groups:
        """Rows of every next concept."""
        return self._grouped(self.pool.broader, len(self.pool.names))

    @cached_property
    def by_answer(self) -> Groups:
        """Rows of every (task, answer)."""
        return self._grouped(self.pool.answer_codes)

    @cached_property
    def siblings(self) -> Groups:
        """Concept codes (not rows) under every broader concept."""
        parents = np.full(len(self.pool.names), -1, dtype=np.int64)
        rows = np.flatnonzero(self.usable & (self.pool.concepts >= 0))[::-1]
        parents[self.pool.concepts[rows]] = self.pool.broader[rows]  # the first row's wins
        return Groups.of(parents, len(parents), np.ones(len(parents), dtype=bool))

    @cached_property
    def reading(self) -> Reading:
        """All that have a place in a document, in its order."""
        pool = self.pool
        kept = np.flatnonzero(self.usable & (pool.places >= 0))
        pages = Codes().array(
            zip(*(codes[kept].tolist() for codes in (pool.documents, pool.sources, pool.tasks)), strict=True)
        )
        order, ranks = ranked_within(pages, pool.places[kept])
        rows = kept[order]
        at, earlier = np.full((2, len(pool)), -1, dtype=np.int64)
        at[rows], earlier[rows] = np.arange(len(rows)), ranks
        return Reading(rows, at, earlier)

    def _grouped(self, codes: Ints, count: int | None = None) -> Groups:
        count = int(codes.max(initial=-1)) + 1 if count is None else count
        return Groups.of(codes, count, self.usable)


@dataclass(frozen=True, eq=False)
class Scene:
    """What a selector sees of the queries of one cell."""

    stock: Stock
    queries: Ints  # [Q] rows of the pool
    dice: Dice  # [Q]
    neighbours: Ints  # [Q, k] rows of the pool, nearest first, -1 for none

    @property
    def pool(self) -> Pool:
        """The pool behind the stock."""
        return self.stock.pool

    def nearest(self) -> Ints:
        """The neighbours that the format can use, -1 for the others."""
        found = self.neighbours
        return np.where((found >= 0) & self.stock.usable[found], found, -1)


def some_of(groups: Groups, codes: Ints, count: int, dice: Dice, label: str) -> Ints:
    """Up to `count` random rows [Q, ..., count] of each group in `codes` [Q, ...], -1 where there are fewer.

    A group of at most `count` rows comes whole, in random order; of a larger one a sample that may repeat.
    """
    sizes = groups.size_of(codes)[..., None]  # [Q, ..., 1]
    bits = dice.bits(label, *codes.shape[1:], count)
    slots = np.arange(count)
    keys = np.where(slots < sizes, bits >> np.uint64(1), np.uint64(2**64 - 1))
    small = np.argsort(keys, axis=-1, kind="stable")
    large = (bits % np.maximum(sizes, 1).astype(np.uint64)).astype(np.int64)
    offsets = np.where(sizes <= count, small, large)
    starts = groups.starts[np.maximum(codes, 0)][..., None]
    at = np.minimum(starts + offsets, max(len(groups.rows) - 1, 0))
    rows = groups.rows[at] if len(groups.rows) else np.full(at.shape, -1, dtype=np.int64)
    return np.where(slots < np.minimum(sizes, count), rows, -1)
