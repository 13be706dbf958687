import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.mixture.rounding import rounded

TABLES = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def table(rng: np.random.Generator, cells: int):
    high = rng.integers(0, 6, cells)
    real = rng.random(cells) * high
    return real, np.zeros(cells, dtype=np.int64), high, [rng.integers(0, 7, cells), rng.integers(0, 3, cells)]


@given(TABLES, st.integers(1, 200))
@settings(max_examples=80, deadline=None)
def test_bounds_hold_the_sum_is_kept_and_so_are_the_margins(rng, cells):
    real, low, high, margins = table(rng, cells)
    whole = rounded(real, low, high, margins)
    assert (low <= whole).all()
    assert (whole <= high).all()
    assert whole.sum() == np.round(real.sum() + 1e-9)
    if cells >= 100:
        for codes in margins:
            assert np.abs(np.bincount(codes, whole - real)).max() < 1.5


@given(TABLES, st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_whole_numbers_stay_as_they_are(rng, cells):
    _, low, high, margins = table(rng, cells)
    given_ = rng.integers(low, high + 1)
    assert rounded(given_.astype(float), low, high, margins).tolist() == given_.tolist()


def test_margins_fare_better_than_with_plain_rounding():
    rng = np.random.default_rng(1)
    real, low, high = np.full(3000, 0.4), np.zeros(3000, dtype=np.int64), np.ones(3000, dtype=np.int64)
    margins = [rng.integers(0, 500, 3000), rng.integers(0, 4, 3000), rng.integers(0, 5, 3000)]
    whole = rounded(real, low, high, margins)
    assert whole.sum() == 1200
    assert max(np.abs(np.bincount(codes, whole - real)).max() for codes in margins) < 2


def test_a_lower_bound_above_the_real_number_is_made_up_for_elsewhere():
    whole = rounded(np.array([1.0, 5.0, 4.0]), np.array([3, 0, 0]), np.array([9, 9, 9]), [])
    assert whole[0] == 3
    assert whole.sum() == 10


def test_sums_of_units_are_kept_when_units_differ():
    rng = np.random.default_rng(2)
    units, real = rng.integers(1, 50, 400).astype(float), rng.random(400) * 3
    codes = rng.integers(0, 3, 400)
    whole = rounded(real, np.zeros(400, dtype=np.int64), np.full(400, 9), [codes], units)
    assert np.abs(np.bincount(codes, (whole - real) * units)).max() <= units.max()
