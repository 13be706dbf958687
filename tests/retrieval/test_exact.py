"""The neighbours are those of brute force in float64, ties by row, on any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import IntegrityError
from curate.retrieval import exact
from curate.retrieval.exact import top
from curate.retrieval.pool import neighbours_of_all, neighbours_within


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def cloud(count: int, dim: int = 16, seed: int = 0, distinct: int | None = None) -> np.ndarray:
    """Unit vectors around a few centres; only `distinct` different ones, when given."""
    dice = np.random.default_rng(seed)
    vectors = unit(dice.standard_normal((5, dim))[dice.integers(5, size=count)] + 0.3 * dice.standard_normal((count, dim)))
    return vectors if distinct is None else vectors[dice.integers(distinct, size=count)]


def brute(base: np.ndarray, queries: np.ndarray, k: int, banned: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    scores = (queries.astype(np.float64) @ base.astype(np.float64).T).astype(np.float32)
    if banned is not None:
        scores[banned] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    gap = ((0, 0), (0, k - order.shape[1]))
    rows = np.pad(np.where(np.isinf(best), -1, order), gap, constant_values=-1)
    return rows, np.pad(best, gap, constant_values=-np.inf)


sizes = st.tuples(st.integers(1, 60), st.integers(1, 20), st.integers(0, 9), st.integers(1, 60))


@given(sizes)
def test_search_equals_brute_force(size: tuple[int, int, int, int]) -> None:
    count, k, seed, distinct = size
    base = cloud(count, seed=seed, distinct=min(distinct, count))
    queries = np.concatenate([base[:3], cloud(4, seed=seed + 100)])
    found = top(base.astype(np.float32), queries.astype(np.float32), k)
    rows, scores = brute(base, queries, k)
    assert np.array_equal(found.rows, rows)
    assert np.array_equal(found.similarities, scores)


@given(sizes)
def test_self_join_equals_brute_force_without_oneself(size: tuple[int, int, int, int]) -> None:
    count, k, seed, distinct = size
    pool = cloud(count, seed=seed, distinct=min(distinct, count))
    rows, scores = brute(pool, pool, k, np.eye(count, dtype=bool))
    found = neighbours_of_all(pool, k)
    assert np.array_equal(found[0], rows)
    assert np.array_equal(found[1], scores)


@given(sizes)
def test_within_a_group_there_is_nobody_of_another(size: tuple[int, int, int, int]) -> None:
    count, k, seed, _ = size
    pool, groups = cloud(count, seed=seed), np.random.default_rng(seed).integers(-1, 4, size=count)
    strangers = (groups[:, None] != groups[None, :]) | (groups[:, None] < 0) | np.eye(count, dtype=bool)
    rows, scores = brute(pool, pool, k, strangers)
    found = neighbours_within(pool, groups, k)
    assert np.array_equal(found[0], rows)
    assert np.array_equal(found[1], scores)


@given(st.integers(0, 50), st.integers(1, 700))
def test_scores_do_not_depend_on_the_order_of_the_sum(seed: int, dim: int) -> None:
    one, other = cloud(2, dim, seed)
    shuffled = np.random.default_rng(seed).permutation(dim)
    forward, back = (float(np.float64(one[o]) @ np.float64(other[o])) for o in (np.arange(dim), shuffled))
    assert forward == back


@given(st.integers(0, 50), st.integers(1, 700))
def test_float32_is_off_by_less_than_the_bound(seed: int, dim: int) -> None:
    one, other = cloud(2, dim, seed)
    rough = float(np.float32(one) @ np.float32(other))
    assert abs(rough - float(np.float64(one) @ np.float64(other))) <= exact.error_bound(dim)


def test_threads_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = cloud(700, 64, distinct=500)
    rows, scores = neighbours_of_all(pool, 20)
    for block, threads in ((64, 1), (64, 3), (1000, 4)):
        monkeypatch.setattr(exact, "BLOCK", block)
        again = neighbours_of_all(pool, 20, threads=threads)
        assert np.array_equal(rows, again[0])
        assert np.array_equal(scores, again[1])


def test_many_equal_vectors_are_ordered_by_row() -> None:
    pool = np.repeat(cloud(2), [300, 5], axis=0)
    found = top(pool.astype(np.float32), pool[:1].astype(np.float32), 7)
    assert found.rows.tolist() == [[0, 1, 2, 3, 4, 5, 6]]
    assert neighbours_of_all(pool, 4)[0][[0, 2, 299]].tolist() == [[1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3]]


def test_a_record_without_a_vector_is_nobodys_neighbour() -> None:
    pool = cloud(6)
    pool[[1, 4]] = 0
    rows, scores = neighbours_of_all(pool, 5)
    assert (rows[[1, 4]] == -1).all()
    assert np.isinf(scores[1]).all()
    assert sorted(rows[0].tolist()) == [-1, -1, 2, 3, 5]


def test_an_empty_pool_has_no_neighbours() -> None:
    assert neighbours_of_all(np.zeros((0, 8), np.float16), 3)[0].shape == (0, 3)
    assert neighbours_of_all(np.zeros((2, 8), np.float16), 3)[0].tolist() == [[-1] * 3] * 2
    assert neighbours_of_all(cloud(1), 3)[0].tolist() == [[-1] * 3]
    assert top(np.zeros((0, 8), np.float32), cloud(2, 8).astype(np.float32), 3).rows.tolist() == [[-1] * 3] * 2


def test_oneself_may_be_kept() -> None:
    pool = cloud(30)
    rows, scores = neighbours_of_all(pool, 4, exclude_self=False)
    assert np.array_equal(rows, brute(pool, pool, 4)[0])
    assert scores.dtype == np.float32
    assert rows.dtype == np.int32


def test_vectors_that_are_not_unit_are_refused() -> None:
    for bad in (2 * cloud(3), np.full((2, 4), np.nan, np.float16)):
        with pytest.raises(IntegrityError, match="unit length"):
            neighbours_of_all(bad, 2)
