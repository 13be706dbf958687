"""Drawing is exact, fair and independent of everything but seed and cell; blocks hold exactly what was drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curate.mixture.axes import band_names, banded, combined, grouped
from curate.mixture.cells import Cells, Floats, Ints
from curate.mixture.draw import Drawn, draw, ordered, renumbered, repeats, sequence
from curate.mixture.filling import GIVE, Filling, filling, settle
from curate.seeding import rng


@st.composite
def stocks(dice: st.DrawFn) -> tuple[Cells, Ints, Floats]:
    """Cells of up to 60 samples on two axes, their samples and units."""
    number = dice(st.integers(1, 60))
    axes = {}
    for axis in ("format", "shots"):
        names = [f"{axis}{value}" for value in range(dice(st.integers(1, 3)))]
        codes = dice(arrays(np.int64, number, elements=st.integers(0, len(names) - 1)))
        axes[axis] = (codes, names)
    units = dice(arrays(np.float64, number, elements=st.integers(1, 50)))
    most = dice(arrays(np.int64, number, elements=st.integers(1, 3)))
    fixed = dice(arrays(np.bool_, number))
    cells, cell_of = grouped(axes, units, most, fixed)
    return cells, cell_of, units


def some_draws(cells: Cells, data: st.DataObject) -> Ints:
    """[C] draws between the fewest and the most."""
    limits = zip(cells.lowest.tolist(), cells.highest.tolist(), strict=True)
    return np.array([data.draw(st.integers(low, high)) for low, high in limits])


@given(stocks())
def test_grouping_keeps_every_sample(stock: tuple[Cells, Ints, Floats]) -> None:
    cells, cell_of, units = stock
    assert (np.bincount(cell_of, minlength=len(cells)) == cells.samples).all()
    assert np.allclose(np.bincount(cell_of, units, len(cells)), cells.samples * cells.units)
    assert (cells.limits[cells.fixed] == cells.samples[cells.fixed]).all()


@given(stocks(), st.integers(0, 2**32), st.data())
def test_draws_are_exact_and_no_sample_comes_twice_before_each_came_once(
    stock: tuple[Cells, Ints, Floats], seed: int, data: st.DataObject
) -> None:
    cells, cell_of, units = stock
    wanted = np.array(
        [data.draw(st.integers(int(low), int(high))) for low, high in zip(cells.lowest, cells.highest, strict=True)]
    )
    drawn = draw(cells, cell_of, wanted, units, seed, by_units=False)
    times = repeats(drawn.samples, len(units))
    assert (drawn.draws == wanted).all()
    assert (np.bincount(cell_of, times, len(cells)) == wanted).all()
    for cell in range(len(cells)):
        here = times[cell_of == cell]
        assert here.max() - here.min() <= 1
    assert (times <= (cells.limits // cells.samples)[cell_of]).all()


@given(stocks(), st.integers(0, 2**32), st.data())
def test_cells_are_filled_to_their_units_as_nearly_as_whole_samples_allow(
    stock: tuple[Cells, Ints, Floats], seed: int, data: st.DataObject
) -> None:
    cells, cell_of, units = stock
    wanted = np.array(
        [data.draw(st.integers(int(low), int(high))) for low, high in zip(cells.lowest, cells.highest, strict=True)]
    )
    drawn = draw(cells, cell_of, wanted, units, seed, by_units=True)
    times = repeats(drawn.samples, len(units))
    assert (times <= (cells.limits // cells.samples)[cell_of]).all()
    assert np.allclose(np.bincount(cell_of, times * units, len(cells)), drawn.units)
    assert (drawn.draws[cells.fixed] == wanted[cells.fixed]).all()
    free = ~cells.fixed
    assert (np.abs(drawn.units - wanted * cells.units)[free] <= (GIVE + 0.5) * units.max() + 1e-6).all()


@given(stocks(), st.integers(0, 2**32), st.data())
def test_settling_never_takes_the_sums_over_the_axes_further_from_what_is_wanted(
    stock: tuple[Cells, Ints, Floats], seed: int, data: st.DataObject
) -> None:
    cells, cell_of, units = stock
    wanted = np.array(
        [data.draw(st.integers(int(low), int(high))) for low, high in zip(cells.lowest, cells.highest, strict=True)]
    )
    order = np.argsort(cell_of, kind="stable")
    ends = np.cumsum(cells.samples)
    found = [
        filling(cell, order[ends[cell] - cells.samples[cell] : ends[cell]], units, wanted[cell] * cells.units[cell])
        for cell in range(len(cells))
    ]
    before = missed(found, cells)
    settle(found, cells)
    assert missed(found, cells) <= before + 1e-6
    assert all(0 <= len(each.chosen) <= cells.samples[each.cell] for each in found)


def missed(found: list[Filling], cells: Cells) -> float:
    """Sum of squared misses over all values of all axes that have more than one."""
    misses = np.array([each.miss for each in found])
    return sum(
        float((np.bincount(codes, misses) ** 2).sum()) for axis, codes in cells.axes.items() if len(cells.values[axis]) > 1
    )


def test_remainders_of_many_cells_do_not_add_up() -> None:
    dice = np.random.default_rng(0)
    codes = np.repeat(np.arange(60), 30)
    axes = {"concept": (codes // 3, [str(n) for n in range(20)]), "shots": (codes % 3, ["0", "1", "2"])}
    units = dice.integers(1, 100, len(codes)).astype(float)
    cells, cell_of = grouped(axes, units, np.ones(len(codes), np.int64), np.zeros(len(codes), bool))
    wanted = np.full(60, 10)
    drawn = draw(cells, cell_of, wanted, units, 0, by_units=True)
    off = np.bincount(cells.axes["shots"], drawn.units - wanted * cells.units)
    assert np.abs(off).max() < 10  # of some 10,000; a sample has 50


def test_a_cell_draws_the_same_whatever_other_cells_there_are() -> None:
    units = np.ones(40)
    codes = np.repeat([0, 1], 20)
    alone, alone_of = grouped({"shots": (codes[:20], ["0"])}, units[:20], np.ones(20, np.int64), np.zeros(20, bool))
    both, both_of = grouped({"shots": (codes, ["0", "1"])}, units, np.ones(40, np.int64), np.zeros(40, bool))
    first = draw(alone, alone_of, np.array([7]), units[:20], 3, False).samples
    second = draw(both, both_of, np.array([7, 5]), units, 3, False).samples
    assert first.tolist() == second[:7].tolist()
    assert draw(alone, alone_of, np.array([7]), units[:20], 4, False).samples.tolist() != first.tolist()


@given(st.integers(1, 20), st.integers(0, 60))
def test_a_longer_sequence_begins_with_the_shorter_one(members: int, length: int) -> None:
    long = sequence(np.arange(members), 60, rng(0, "t", "x"))
    assert sequence(np.arange(members), length, rng(0, "t", "x")).tolist() == long[:length].tolist() if length else True


@given(arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.integers(0, 6)), st.integers(0, 99))
def test_blocks_hold_exactly_what_they_should(counts: Ints, seed: int) -> None:
    draws = counts.sum(axis=0)
    samples = np.repeat(np.arange(len(draws)), draws).astype(np.uint32)  # one sample a cell, named by it
    order = ordered(Drawn(samples, draws, draws.astype(float)), counts, seed)
    ends = np.cumsum(counts.sum(axis=1))
    for block, (stop, row) in enumerate(zip(ends, counts, strict=True)):
        start = ends[block - 1] if block else 0
        assert np.bincount(order[start:stop], minlength=len(draws)).tolist() == row.tolist()


def test_order_inside_a_block_is_random_and_seeded() -> None:
    drawn = Drawn(np.arange(500, dtype=np.uint32), np.array([500]), np.array([500.0]))
    counts = np.array([[500]])
    assert ordered(drawn, counts, 1).tolist() == ordered(drawn, counts, 1).tolist()
    assert ordered(drawn, counts, 1).tolist() != ordered(drawn, counts, 2).tolist()
    assert abs(np.corrcoef(ordered(drawn, counts, 1), np.arange(500))[0, 1]) < 0.2


@given(arrays(np.uint32, st.integers(0, 30), elements=st.integers(0, 9)))
def test_renumbering_names_the_same_samples(order: Ints) -> None:
    numbers, kept = renumbered(order.astype(np.uint32), 10)
    assert kept[numbers].tolist() == order.tolist()
    assert sorted(set(order.tolist())) == kept.tolist()


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=6))
def test_combined_codes_are_equal_where_all_are(columns: list[list[int]]) -> None:
    huge = combined([(np.array(column), 2**20) for column in columns])  # 2^120 in all: re-coded on the way
    tuples = list(zip(*columns, strict=True))
    for i in range(5):
        for j in range(5):
            assert (huge[i] == huge[j]) == (tuples[i] == tuples[j])


@pytest.mark.parametrize(
    ("bands", "names"), [(2, ["low", "high"]), (3, ["low", "mid", "high"]), (4, ["q1", "q2", "q3", "q4"])]
)
def test_bands_are_named_and_unknown_values_have_their_own(bands: int, names: list[str]) -> None:
    assert band_names(bands) == names
    codes, known = banded(np.array([0.0, np.nan, 5.0]), list(range(1, bands)))
    assert [known[code] for code in codes] == [names[0], "none", names[-1]]
