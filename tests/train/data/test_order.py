"""The order of an epoch: every row once, a curriculum kept, any place of it computed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.order import Order, permuted

BLOCKS = st.lists(st.integers(1, 60), min_size=1, max_size=8).map(lambda sizes: np.cumsum(sizes).tolist())


@given(size=st.integers(1, 5000), key=st.integers(0, 2**64 - 1))
def test_a_permutation_hits_every_place_once(size: int, key: int) -> None:
    assert sorted(permuted(np.arange(size), size, key).tolist()) == list(range(size))


@given(size=st.integers(1, 10**12), key=st.integers(0, 2**64 - 1), data=st.data())
def test_a_place_is_sent_where_it_is_sent_among_others(size: int, key: int, data: st.DataObject) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5)))
    together = permuted(places, size, key)
    assert [int(permuted(places[i : i + 1], size, key)[0]) for i in range(len(places))] == together.tolist()
    assert ((together >= 0) & (together < size)).all()


@given(blocks=BLOCKS, seed=st.integers(0, 99), window=st.integers(1, 50), epoch=st.integers(0, 9))
def test_an_epoch_visits_every_row_once_and_block_after_block(blocks: list[int], seed: int, window: int, epoch: int) -> None:
    order = Order(blocks, seed, window)
    visits = [order.rows(epoch, at) for at in range(order.windows)]
    assert all(0 < len(rows) <= window for rows in visits)
    rows = np.concatenate(visits)
    assert sorted(rows.tolist()) == list(range(blocks[-1]))
    block_of = np.searchsorted(blocks, rows, side="right")
    assert (np.diff(block_of) >= 0).all()


def test_every_epoch_and_every_seed_shuffles_anew() -> None:
    def visit(seed: int, epoch: int) -> list[int]:
        return list(Order([500], seed, 500).rows(epoch, 0))

    assert visit(0, 0) == visit(0, 0)
    assert visit(0, 0) != visit(0, 1)
    assert visit(0, 0) != visit(1, 0)


def test_no_order_is_written_into_the_shuffle() -> None:
    """Pearson correlation of place and row over 10,000 rows: below 4 standard errors; and neighbours part."""
    rows = permuted(np.arange(10_000), 10_000, 7)
    assert abs(np.corrcoef(np.arange(10_000), rows)[0, 1]) < 0.04
    assert (np.abs(np.diff(rows)) == 1).mean() < 0.002


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(AssertionError):
        Order([3], 0, 0)
