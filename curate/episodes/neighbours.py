"""Nearest neighbours of queries, as rows of the pool."""

from typing import Protocol

import numpy as np

from curate.episodes.dice import Ints
from curate.episodes.pool import Pool
from curate.retrieval.exact import top
from curate.retrieval.index import Index


class Search(Protocol):
    """Finds neighbours of the pool's own rows."""

    def nearest(self, rows: Ints, k: int) -> Ints:
        """The k nearest demonstrations of each row [Q], [Q, k], -1 for none. The row itself may be among them."""


class ExactSearch:
    """Compares a query with every first image of the pool: for small pools, tests, and runs without an index."""

    def __init__(self, pool: Pool) -> None:
        assert pool.vectors is not None
        self._of = pool.vector_rows[:, 0]
        self._rows = np.flatnonzero(pool.usable)
        self._vectors = pool.vectors
        self._base = pool.vectors[self._of[self._rows]].astype(np.float32)  # [U, D]

    def nearest(self, rows: Ints, k: int) -> Ints:
        """The k usable rows with the largest cosine, ties by row."""
        found = top(self._base, self._vectors[self._of[rows]].astype(np.float32), k).rows
        return np.where(found >= 0, self._rows[found], -1)


class IndexSearch:
    """Asks a built index."""

    def __init__(self, index: Index, pool: Pool) -> None:
        assert pool.vectors is not None
        row_of = {name: row for row, name in reversed(list(enumerate(pool.ids)))}
        self._pool_rows = np.array([row_of.get(name, -1) for name in index.ids], dtype=np.int64)
        self._index, self._of, self._vectors = index, pool.vector_rows[:, 0], pool.vectors

    def nearest(self, rows: Ints, k: int) -> Ints:
        """What the index finds; a demonstration with several images has one vector, the mean direction of theirs."""
        found = self._index.search(self._vectors[self._of[rows]], k).rows
        return np.where(found >= 0, self._pool_rows[found], -1)
