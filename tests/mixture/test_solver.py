from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError, InputError
from curate.mixture.least import least_deviation, nearest_exact
from curate.mixture.problem import problem_of
from curate.mixture.quotas import Demand
from curate.mixture.solver import solve
from tests.mixture.small_cells import FORMATS, SHOTS, cells_of, grid, grids, mixed, row, shares_of

WEIGHTS = st.integers(0, 5)


@st.composite
def wishes(draw: st.DrawFn) -> list[Demand]:
    """Demands that may well contradict each other and the data."""

    def shares(values):
        weights = draw(st.lists(WEIGHTS, min_size=len(values), max_size=len(values)).filter(any))
        return {value: weight / sum(weights) for value, weight in zip(values, weights, strict=True)}

    return [
        Demand("format", (), shares(FORMATS)),
        Demand("shots", (), shares(SHOTS)),
        Demand("shots", (("format", "caption"),), shares(SHOTS)),
        Demand("source", (), shares(("web", "emoji", "nowhere"))),
    ][: draw(st.integers(0, 4))]


def points_off(mix):
    return max((abs(row.realised - row.requested) * 100 for row in mix.rows), default=0.0)


@given(grids(), wishes(), st.one_of(st.none(), st.integers(1, 4000)))
@settings(max_examples=50, deadline=None)
def test_caps_hold_the_size_is_exact_and_what_is_off_has_a_reason(cells, demands, size):
    mix = solve(cells, demands, size)
    assert (mix.draws >= 0).all()
    assert (mix.draws <= cells.limits).all()
    assert mix.size == mix.draws.sum()
    if size is not None:
        assert mix.size == min(size, cells.limits.sum())
    for line in mix.rows:
        assert bool(line.reason) == (abs(line.realised - line.requested) * 100 > 0.5 + 1e-9)


@given(grids(), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_demands_that_can_be_met_are_met(cells, seed):
    wanted = np.random.default_rng(seed).integers(0, cells.limits + 1)
    if wanted.sum() < 200:
        wanted = cells.limits
    captions = wanted * cells.having("format", "caption")
    demands = [Demand(axis, (), shares_of(cells, wanted, axis)) for axis in ("format", "shots", "source")]
    if captions.sum() >= 200:
        demands.append(Demand("shots", (("format", "caption"),), shares_of(cells, captions, "shots")))
    mix = solve(cells, demands, float(wanted.sum()), tolerance=100 * 2.5 / 200)
    assert not [line for line in mix.rows if line.reason]
    assert mix.size == wanted.sum()


@given(st.lists(st.integers(0, 25), min_size=4, max_size=4), st.integers(1, 9), st.integers(1, 9), st.integers(10, 60))
@settings(max_examples=60, deadline=None)
def test_what_cannot_be_met_is_missed_by_the_least(numbers, captions, shots, size):
    """Against all whole mixes of four cells, tried one by one."""
    keys = list(product(("caption", "open_qa"), ("0", "1")))
    cells = cells_of(("format", "shots"), [(*key, n + 1) for key, n in zip(keys, numbers, strict=True)])
    size = min(size, int(cells.limits.sum()))
    demands = [
        Demand("format", (), {"caption": captions / 10, "open_qa": 1 - captions / 10}),
        Demand("shots", (), {"0": shots / 10, "1": 1 - shots / 10}),
    ]
    a, b, c = np.meshgrid(*(np.arange(n + 1) for n in cells.limits[:3]), indexing="ij")
    d = size - a - b - c
    off = 2 * np.abs((a + b) / size - captions / 10) + 2 * np.abs((a + c) / size - shots / 10)
    best = off[(d >= 0) & (d <= cells.limits[3])].min()
    problem = problem_of(cells, demands)
    real = least_deviation(problem, size, 1e-6)
    least = sum(np.abs(part.realised(real) - part.requested).sum() for part in problem.parts)
    assert least <= best + 1e-6
    whole = sum(abs(line.realised - line.requested) for line in solve(cells, demands, size, 1e-4).rows)
    assert best - 1e-9 <= whole <= best + 4 / size + 1e-3


@given(grids(), wishes())
@settings(max_examples=12, deadline=None)
def test_the_same_question_has_the_same_answer(cells, demands):
    assert solve(cells, demands, None).draws.tolist() == solve(cells, demands, None).draws.tolist()


@given(st.lists(st.integers(50, 400), min_size=18, max_size=18), st.lists(st.integers(1, 9), min_size=3, max_size=3))
@settings(max_examples=25, deadline=None)
def test_the_largest_plan_is_within_tolerance_and_none_a_hundredth_larger_is(numbers, weights):
    cells = grid(numbers)
    quotas = [{"axis": "format", "shares": dict(zip(FORMATS, weights, strict=True))}, {"axis": "shots", "shares": "uniform"}]
    mix = mixed(cells, quotas, None)
    assert points_off(mix) <= 0.5
    if mix.size < cells.limits.sum():
        assert points_off(mixed(cells, quotas, mix.size * 1.01 + 2)) > 0.5
        assert "every draw of" in mix.notes[0] or "the demands together" in mix.notes[0]


def test_the_largest_plan_of_demands_that_contradict_is_as_near_as_can_be_and_still_large():
    cells = cells_of(("format", "source"), [("caption", "a", 150), ("open_qa", "b", 210)])
    mix = mixed(
        cells,
        [{"axis": "format", "shares": {"caption": 9, "open_qa": 1}}, {"axis": "source", "shares": {"a": 1, "b": 1}}],
        None,
    )
    assert mix.size >= 150
    assert row(mix, "format", "caption").reason == "" or row(mix, "source", "a").reason == ""


@given(st.lists(st.integers(5, 200), min_size=18, max_size=18), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_a_fitting_that_is_nearly_there_is_made_exact_without_leaving_its_neighbourhood(numbers, seed):
    rng = np.random.default_rng(seed)
    cells = grid(numbers)
    problem = problem_of(
        cells, [Demand("format", (), dict.fromkeys(FORMATS, 1 / 3)), Demand("shots", (), dict.fromkeys(SHOTS, 1 / 3))]
    )
    there = problem.highest * rng.uniform(0.1, 0.9, len(problem.highest))
    wanted = [part.realised(there) for part in problem.parts]
    near = np.clip(there * rng.uniform(0.95, 1.05, len(there)), 0, problem.highest)
    exact = nearest_exact(problem, float(there.sum()), near, wanted)
    for part, shares in zip(problem.parts, wanted, strict=True):
        assert part.realised(exact) == pytest.approx(shares, abs=1e-6)
    assert exact.sum() == pytest.approx(there.sum())
    assert (exact >= -1e-6).all()
    assert (exact <= problem.highest + 1e-6).all()
    change = 1 / (near + near.mean())
    assert (change * np.abs(exact - near)).sum() <= (change * np.abs(there - near)).sum() + 1e-6


def test_a_largest_plan_at_the_edge_of_the_data_still_draws_from_everywhere():
    rng = np.random.default_rng(3)
    cells = grid(rng.integers(40, 400, 18).tolist())
    quotas = [
        {"axis": "format", "shares": {"caption": 18, "open_qa": 40, "multiple_choice": 42}},
        {"axis": "shots", "shares": "uniform"},
    ]
    mix = mixed(cells, [*quotas, {"axis": "source", "shares": "uniform"}], None)
    assert (mix.draws > 0).sum() >= 16


def test_without_demands_the_largest_plan_is_all_there_is():
    cells = grid([7] * 18, repeats=2)
    assert mixed(cells, [], None).draws.tolist() == cells.limits.tolist()


def test_a_full_replay_is_drawn_to_the_last_sample_and_counted():
    table = [("caption", "no", 300), ("open_qa", "no", 300), ("open_qa", "yes", 40)]
    cells = cells_of(("format", "replay"), table, full_replay=True)
    mix = mixed(cells, [{"axis": "format", "shares": "uniform"}], 200, replay="full")
    assert mix.size == 200
    assert mix.draws[cells.having("replay", "yes")].tolist() == [40]
    assert row(mix, "format", "open_qa").realised == 0.5


def test_a_replay_share_is_met_beside_the_weights_of_the_sources():
    table = [("web", "no", 900), ("emoji", "no", 900), ("llava", "yes", 900)]
    cells = cells_of(("source", "replay"), table)
    mix = mixed(cells, [], 1000, replay=0.2, weights={"web": 3, "emoji": 1, "llava": None})
    by_source = dict(zip(cells.values["source"], np.bincount(cells.axes["source"], mix.draws).tolist(), strict=True))
    assert by_source == {"web": 600, "emoji": 200, "llava": 200}


def test_shares_are_shares_of_the_unit():
    cells = cells_of(("format",), [("caption", 500), ("open_qa", 500)])
    tokens = type(cells)(cells.axes, cells.values, cells.samples, np.array([10.0, 40.0]), cells.limits, None)
    mix = solve(tokens, [Demand("format", (), {"caption": 0.5, "open_qa": 0.5})], 4000)
    assert mix.draws.tolist() == [200, 50]
    assert mix.size == 4000


def test_a_full_replay_without_units_takes_nothing_from_the_rest():
    cells = cells_of(
        ("format", "replay"), [("caption", "no", 90), ("open_qa", "no", 90), ("text", "yes", 30)], full_replay=True
    )
    units = np.where(cells.having("replay", "yes"), 0.0, np.where(cells.having("format", "caption"), 10.0, 20.0))
    tokens = type(cells)(cells.axes, cells.values, cells.samples, units, cells.limits, cells.exact)
    mix = solve(tokens, [Demand("format", (("replay", "no"),), {"caption": 0.5, "open_qa": 0.5})], 1000)
    assert dict(zip(cells.axes["format"].tolist(), mix.draws.tolist(), strict=True)) == {0: 50, 1: 25, 2: 30}
    assert mix.size == 1000


def test_a_surplus_is_spread_in_proportion_and_does_not_fall_on_one_value():
    cells = cells_of(("concept",), [("rare", 5)] + [(f"c{i}", 500) for i in range(9)])
    mix = mixed(cells, [{"axis": "concept", "shares": "uniform"}], 1000)
    realised = [row(mix, "concept", f"c{i}").realised for i in range(9)]
    assert max(realised) - min(realised) <= 0.0011
    assert row(mix, "concept", "rare").realised == 0.005


def test_values_that_got_no_share_get_no_draw():
    mix = mixed(grid([200] * 18), [{"axis": "format", "shares": {"caption": 1, "open_qa": 1}}], None)
    assert all(line.realised == 0 for line in mix.rows if line.value == "multiple_choice")


def test_every_cell_takes_part_where_nothing_forbids_it():
    mix = mixed(grid([200] * 18), [{"axis": "format", "shares": "uniform"}, {"axis": "shots", "shares": "uniform"}], 900)
    assert mix.draws.min() >= 49


def test_thousands_of_concepts_take_a_moment():
    rng = np.random.default_rng(0)
    table = [(f"c{i}", f, int(rng.integers(1, 9))) for i in range(2000) for f in FORMATS]
    cells = cells_of(("concept", "format"), table)
    quotas = [
        {"axis": "concept", "shares": "natural", "temperature": 2},
        {"axis": "format", "shares": {"caption": 18, "open_qa": 40, "multiple_choice": 42}},
    ]
    mix = mixed(cells, quotas, 6000)
    assert points_off(mix) <= 0.1


def test_many_rare_values_that_run_short_need_no_linear_program(monkeypatch):
    monkeypatch.setattr("curate.mixture.solver.least_deviation", lambda *_: pytest.fail("the linear program was asked"))
    cells = cells_of(("concept", "format"), [(f"c{i}", f, 1 + 40 // (i + 1)) for i in range(400) for f in FORMATS])
    quotas = [{"axis": "concept", "shares": "uniform"}, {"axis": "format", "shares": "uniform"}]
    mix = mixed(cells, quotas, 1203, tolerance=1)
    assert mix.size == 1203
    assert points_off(mix) <= 1
    assert min(line.realised for line in mix.rows if line.axis == "concept") == 3 / 1203  # all there is of the rare


@pytest.mark.parametrize(("size", "tolerance"), [(0, 0.5), (-1, 0.5), (float("nan"), 0.5), (10, 0), (10, 101)])
def test_sizes_and_tolerances_out_of_range_are_refused(size, tolerance):
    with pytest.raises(ConfigError):
        mixed(grid([5] * 18), [], size, tolerance)


def test_nothing_to_draw_is_an_error():
    with pytest.raises(InputError, match="no sample"):
        mixed(grid([0] * 17 + [1], repeats=0), [], None)
