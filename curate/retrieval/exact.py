"""Exact nearest neighbours by inner product: the same bits on every machine and number of threads.

All vectors are float16 of about unit length. A product of two float16 is a multiple of 2^-48 and every partial
sum stays below 16, so float64 adds them without rounding, in whatever order. Hence two steps: float32 finds
candidates fast, among which the true neighbours must be because its error is bounded; float64 scores the
candidates exactly. Order is by that score rounded to float32, equal ones by row.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Single = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BLOCK = 1024  # queries handled together
SCORED = 576  # candidates scored together: 512-dimensional ones fit a core's cache
MARGIN = 8  # candidates beyond k; enough unless many rows are nearly equal


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of B queries, best first; row -1 and similarity -inf where there are fewer than k."""

    rows: Ints  # [B, k]
    similarities: Single  # [B, k]


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS computes on the calling thread alone, so that its sums have one order."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def top(base: Single, queries: Single, k: int, threads: int = 1) -> Neighbours:
    """The k rows of `base` [N, D] with the largest inner product with each of `queries` [B, D].

    Both hold float16 values (as float32) of length <= 1.01. Ties go to the smaller row.
    """
    starts = range(0, len(queries), BLOCK)
    return stacked(in_threads(lambda start: _top_of_block(base, queries[start : start + BLOCK], k), starts, threads), k)


def stacked(blocks: Iterable[Neighbours], k: int) -> Neighbours:
    """Neighbours [B, k] of blocks of queries, one below the other."""
    lines = [padded(np.zeros((0, 0), np.int64), np.zeros((0, 0), np.float32), k), *blocks]
    return Neighbours(np.concatenate([one.rows for one in lines]), np.concatenate([one.similarities for one in lines]))


def top_of_blocks(blocks: Iterable[Single], queries: Single, k: int) -> Neighbours:
    """Like `top`, for vectors that come block by block and never stand in memory together."""
    best, start = padded(np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32), k), 0
    for block in blocks:
        new = top(block, queries, k)
        rows = np.concatenate([best.rows, np.where(new.rows < 0, -1, new.rows + start)], axis=1)
        scores = np.concatenate([best.similarities, new.similarities], axis=1)
        rows, scores = in_order(rows, scores)
        best, start = Neighbours(rows[:, :k], scores[:, :k]), start + len(block)
    return best


def without_self(owners: Ints, found: Neighbours) -> Neighbours:
    """Each line [k + 1] without the row of its owner, or without its last place where that does not stand in it."""
    own, last = found.rows == owners[:, None], found.rows.shape[1] - 1
    at = np.where(own.any(axis=1), own.argmax(axis=1), last)
    kept = np.arange(last)[None, :]
    kept = kept + (kept >= at[:, None])
    return Neighbours(np.take_along_axis(found.rows, kept, axis=1), np.take_along_axis(found.similarities, kept, axis=1))


def in_threads(work: Callable[[int], Neighbours], starts: range, threads: int) -> Iterator[Neighbours]:
    """Results in order; each block is computed on one thread."""

    def alone(start: int) -> Neighbours:
        with one_thread():
            return work(start)

    if threads <= 1 or len(starts) <= 1:
        yield from map(alone, starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(alone, starts)


def _top_of_block(base: Single, queries: Single, k: int) -> Neighbours:
    """Asks for more candidates until none outside them can be as good as the k-th."""
    reach = min(k, len(base))
    rows, scores = np.zeros((len(queries), reach), np.int64), np.zeros((len(queries), reach), np.float32)
    todo, want = np.arange(len(queries)), min(len(base), reach + MARGIN)
    while len(todo) and reach:
        rough, found = _candidates(base, queries[todo], want)
        found, exact = in_order(found, score(base, queries[todo], found))
        rows[todo], scores[todo] = found[:, :reach], exact[:, :reach]
        unsure = exact[:, reach - 1] <= rough[:, -1] + error_bound(base.shape[1])
        todo = todo[unsure & (want < len(base))]
        want = min(len(base), 4 * want)
    return padded(rows, scores, k)


def error_bound(dim: int) -> float:
    """How far a float32 inner product of unit vectors of length `dim` can be from the true one.

    |error| <= dim * 2^-24 * sum |a_i b_i| to first order (Higham, Accuracy and Stability, section 3.1), and the
    sum is at most |a| |b| <= 1.01^2; twice that, for the second order.
    """
    return 2 * (dim + 1) * 2.0**-24 * 1.01**2


def _candidates(base: Single, queries: Single, want: int) -> tuple[Single, Ints]:
    """Float32 inner products [B, want], largest first, and their rows."""
    import faiss

    rough, rows = faiss.knn(queries, base, want, metric=faiss.METRIC_INNER_PRODUCT)
    return rough, rows


def score(base: Single, queries: Single, rows: Ints) -> Single:
    """Exact inner products [B, C], rounded once, of queries [B, D] with the rows [B, C] of `base`."""
    count, dim = rows.shape[1], base.shape[1]
    scores = np.empty(rows.shape, np.float32)
    step = max(1, SCORED // max(1, count))
    # Rows are copied as bytes: those of a mapped file are not aligned to float32, and take would copy the whole file.
    row, buffer = f"V{4 * dim}", np.empty((step * count, dim), np.float32)
    sources, places = base.view(row)[:, 0], buffer.view(row)[:, 0]
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        np.take(sources, some.ravel(), out=places[: some.size], mode="clip")
        scores[start : start + step] = inner(buffer[: some.size].reshape(*some.shape, dim), queries[start : start + step])
    return scores


def inner(vectors: Single, queries: Single) -> Single:
    """Exact inner products [B, C], rounded once, of vectors [B, C, D] with queries [B, D]."""
    products: npt.NDArray[np.float64] = np.matmul(vectors.astype(np.float64), queries.astype(np.float64)[:, :, None])
    return products[:, :, 0].astype(np.float32)


def in_order(rows: Ints, scores: Single) -> tuple[Ints, Single]:
    """Each line by falling score, equal scores by rising row."""
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def padded(rows: Ints, scores: Single, k: int) -> Neighbours:
    """Neighbours [B, k] from at most k columns."""
    gap = ((0, 0), (0, k - rows.shape[1]))
    return Neighbours(np.pad(rows, gap, constant_values=-1), np.pad(scores, gap, constant_values=-np.inf))
