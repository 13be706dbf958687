"""Neighbours of every vector of a pool among the others: what selectors of episodes ask for.

Vectors that occur several times (several questions about one image) are searched once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate.errors import IntegrityError
from curate.retrieval.exact import BLOCK, Ints, Neighbours, Single, top, without_self

Half = npt.NDArray[np.float16]
Rows = npt.NDArray[np.int32]


def neighbours_of_all(matrix: Half, k: int, exclude_self: bool = True, threads: int = 1) -> tuple[Rows, Single]:
    """The k nearest rows of each row of `matrix` [N, D] (float16, unit rows), exactly: rows [N, k], cosines [N, k].

    Best first, ties by row; -1 and -inf where there are fewer. A zero row stands for a record without a vector:
    it has no neighbours and is nobody's. The answer does not depend on the number of threads.
    """
    assert matrix.dtype == np.float16, "vectors are stored as float16"
    rows, similarities = _blank(len(matrix), k)
    distinct = _Distinct.of(matrix)
    asked = k + 1 if exclude_self else k
    found = top(distinct.vectors, distinct.vectors, asked, threads)
    for start in range(0, len(distinct.vectors), BLOCK):
        here = slice(start, start + BLOCK)
        part = distinct.as_rows(Neighbours(found.rows[here], found.similarities[here]), asked)
        owners, line = distinct.members_of(start, start + BLOCK)
        theirs = Neighbours(part.rows[line], part.similarities[line])
        theirs = without_self(owners, theirs) if exclude_self else theirs
        rows[owners], similarities[owners] = theirs.rows, theirs.similarities
    return rows, similarities


def neighbours_within(matrix: Half, groups: Ints, k: int, threads: int = 1) -> tuple[Rows, Single]:
    """Like `neighbours_of_all`, among the rows with the same code in `groups` [N] alone; -1 belongs to no group."""
    rows, similarities = _blank(len(matrix), k)
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(members) > 1:
            found, similarities[members] = neighbours_of_all(matrix[members], k, threads=threads)
            rows[members] = np.where(found < 0, -1, members[found])
    return rows, similarities


def _blank(count: int, k: int) -> tuple[Rows, Single]:
    return np.full((count, k), -1, np.int32), np.full((count, k), -np.inf, np.float32)


@dataclass(frozen=True, eq=False)
class _Distinct:
    """The U distinct vectors of a pool, in order of first sight, and the rows that bear each."""

    vectors: Single  # [U, D] float16 values
    first: Ints  # [U] the smallest row of each
    rows: Ints  # all rows with a vector, by distinct vector, ascending within it
    starts: Ints  # [U + 1] those of vector u are rows[starts[u] : starts[u + 1]]

    @classmethod
    def of(cls, matrix: Half) -> "_Distinct":
        present = np.flatnonzero(np.any(matrix != 0, axis=1))
        vectors = np.ascontiguousarray(matrix[present])
        _check_unit(vectors)
        keys = vectors.view(f"V{2 * max(1, vectors.shape[1])}").ravel()
        _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        by_sight = np.argsort(first)
        rank = np.empty_like(by_sight)
        rank[by_sight] = np.arange(len(by_sight))
        rows = present[np.argsort(rank[inverse], kind="stable")]
        starts = np.concatenate([[0], np.cumsum(counts[by_sight])])
        return cls(vectors[first[by_sight]].astype(np.float32), present[first[by_sight]], rows, starts)

    def members_of(self, start: int, stop: int) -> tuple[Ints, Ints]:
        """Rows that bear vectors start..stop, and for each the place of its vector, counted from start."""
        sizes = np.diff(self.starts[start : min(stop, len(self.first)) + 1])
        return self.rows[self.starts[start] : self.starts[start] + sizes.sum()], np.repeat(np.arange(len(sizes)), sizes)

    def as_rows(self, found: Neighbours, k: int) -> Neighbours:
        """The k best rows of the pool, from the k best distinct vectors of each line."""
        if len(self.rows) == len(self.first):
            return Neighbours(np.where(found.rows < 0, -1, self.first[found.rows]), found.similarities)
        return self._expanded(found, k)

    def _expanded(self, found: Neighbours, k: int) -> Neighbours:
        """Puts the rows that bear a vector in its place; no more than k of them matter."""
        lines, places = np.nonzero(found.rows >= 0)
        vectors = found.rows[lines, places]
        sizes = np.minimum(np.diff(self.starts)[vectors], k)
        offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = self.rows[np.repeat(self.starts[vectors], sizes) + offsets]
        lines, scores = np.repeat(lines, sizes), np.repeat(found.similarities[lines, places], sizes)
        order = np.lexsort((rows, -scores, lines))
        rank = np.arange(len(order)) - np.searchsorted(lines[order], lines[order])
        order, rank = order[rank < k], rank[rank < k]
        best = _blank(len(found.rows), k)
        best[0][lines[order], rank], best[1][lines[order], rank] = rows[order], scores[order]
        return Neighbours(best[0].astype(np.int64), best[1])


def _check_unit(vectors: Half) -> None:
    lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
    if not np.all(np.abs(lengths - 1) < 0.01):
        raise IntegrityError("the vectors are not of unit length; run curate embed again")
