"""Nearest neighbours of queries, as rows of the pool."""

from typing import Protocol

import numpy as np

from curate.episodes.dice import Ints
from curate.episodes.pool import Pool


class Search(Protocol):
    """Finds neighbours of the pool's own rows."""

    def nearest(self, rows: Ints, k: int) -> Ints:
        """The k nearest demonstrations of each row [Q], [Q, k], -1 for none. The row itself may be among them."""


class ExactSearch:
    """Compares a query with every first image of the pool: for small pools, tests, and runs without an index."""

    def __init__(self, pool: Pool) -> None:
        assert pool.vectors is not None
        self._rows = np.flatnonzero(pool.usable)
        self._of = pool.vector_rows[:, 0]
        self._vectors = pool.vectors
        self._matrix = pool.vectors[self._of[self._rows]].astype(np.float32)  # [U, D]

    def nearest(self, rows: Ints, k: int) -> Ints:
        """The k usable rows with the largest cosine, ties by row."""
        found = np.full((len(rows), k), -1, dtype=np.int64)
        for start in range(0, len(rows), 256):
            block = rows[start : start + 256]
            cosine = np.round(self._vectors[self._of[block]].astype(np.float32) @ self._matrix.T, 5)
            width = min(k, cosine.shape[1])
            top = np.argpartition(-cosine, width - 1, axis=1)[:, :width] if width < cosine.shape[1] else None
            top = np.sort(top, axis=1) if top is not None else np.broadcast_to(np.arange(width), cosine.shape)
            order = np.argsort(-np.take_along_axis(cosine, top, axis=1), axis=1, kind="stable")
            found[start : start + len(block), :width] = self._rows[np.take_along_axis(top, order, axis=1)]
        return found
