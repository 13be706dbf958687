import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError
from curate.mixture.curriculum import Curriculum, arrange, averages
from curate.settings import build
from tests.mixture.small_cells import cells_of, grid, grids

KINDS = st.sampled_from(["step", "linear", "cosine"])
POINTS = "{axis: source, kind: %s, points: {0: {web: 3, emoji: 1}, 0.5: {web: 1, emoji: 1}, 1: {emoji: 1}}}"


def curriculum(*schedules: str, blocks: int | str = "auto") -> Curriculum:
    return build(Curriculum, {"blocks": blocks, "schedules": [yaml.safe_load(text) for text in schedules]})


def path(kind: str, more: str = "") -> str:
    return f"{{axis: shots, kind: {kind}, path: [0, 1, 2]{more}}}"


def some_draws(cells, seed: int):
    return np.random.default_rng(seed).integers(0, cells.limits + 1)


def block_shares(cells, counts, axis):
    held = np.stack([np.bincount(cells.axes[axis], block, len(cells.values[axis])) for block in counts])
    return held / held.sum(axis=1, keepdims=True)


@given(grids(), KINDS, st.integers(0, 2**32 - 1), st.one_of(st.just("auto"), st.integers(1, 40)))
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_and_blocks_are_equal(cells, kind, seed, blocks):
    draws = some_draws(cells, seed)
    arranged = arrange(cells, draws, curriculum(path(kind), POINTS % kind, blocks=blocks))
    assert (arranged.counts >= 0).all()
    assert arranged.counts.sum(axis=0).tolist() == draws.tolist()
    sizes = arranged.counts.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1
    assert arranged.ends.tolist() == np.cumsum(sizes).tolist()


@given(grids(), KINDS, st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_one_path_is_followed_to_the_sample_and_shots_only_rise(cells, kind, seed):
    draws = some_draws(cells, seed)
    arranged = arrange(cells, draws, curriculum(path(kind), blocks=8))
    size = max(int(arranged.counts[0].sum()), 1)
    assert arranged.worst <= 100 * 2.5 / size
    shots = np.array([int(value) for value in cells.values["shots"]])[cells.axes["shots"]]
    mean = (arranged.counts * shots).sum(axis=1) / np.maximum(arranged.counts.sum(axis=1), 1)
    if draws.sum():
        assert (np.diff(mean) >= -2 * 2.5 / size).all()


def test_a_path_goes_in_the_order_it_is_given():
    cells = grid([100] * 18)
    arranged = arrange(cells, cells.samples, curriculum("{axis: shots, kind: step, path: [2, 0, 1]}", blocks=3))
    names = [cells.values["shots"][v] for v in block_shares(cells, arranged.counts, "shots").argmax(axis=1)]
    assert names == ["2", "0", "1"]


@pytest.mark.parametrize("kind", ["step", "linear", "cosine"])
def test_points_are_followed_when_the_draws_hold_their_average(kind):
    text = f"{{axis: source, kind: {kind}, points: {{0: {{web: 80, emoji: 20}}, 1: {{web: 40, emoji: 60}}}}}}"
    average = averages([build(Curriculum, {"schedules": [yaml.safe_load(text)]}).schedules[0]])["source"]
    assert average == pytest.approx({"web": 0.8, "emoji": 0.2} if kind == "step" else {"web": 0.6, "emoji": 0.4})
    cells = cells_of(("source", "format"), [(s, f, round(2500 * average[s])) for s in average for f in ("caption", "open_qa")])
    arranged = arrange(cells, cells.samples, curriculum(text, blocks=10))
    assert arranged.worst <= 100 * 1.5 / 500
    web = block_shares(cells, arranged.counts, "source")[:, cells.values["source"].index("web")]
    assert web[-1] == pytest.approx({"step": 0.8, "linear": 0.42, "cosine": 0.4033}[kind], abs=0.004)
    assert (np.diff(web) <= 1e-9).all()


def test_two_schedules_are_both_followed_when_the_draws_allow_it():
    """Each third of the plan has one number of shots, and of the sources what a line from 60 to 40 % gives there."""
    table = [(0, "web", 567), (0, "emoji", 433), (1, "web", 500), (1, "emoji", 500), (2, "web", 433), (2, "emoji", 567)]
    cells = cells_of(("shots", "source"), table)
    sources = "{axis: source, kind: linear, points: {0: {web: 6, emoji: 4}, 1: {web: 4, emoji: 6}}}"
    arranged = arrange(cells, cells.samples, curriculum(path("step"), sources, blocks=6))
    assert arranged.worst <= 1
    assert [track.axis for track in arranged.tracks] == ["shots", "source"]
    even = cells_of(("shots", "source"), [(k, s, 500) for k in (0, 1, 2) for s in ("web", "emoji")])
    assert arrange(even, even.samples, curriculum(path("step"), sources, blocks=6)).worst > 5


def test_every_scheduled_axis_is_kept_to_a_sample_in_small_blocks():
    """18 kinds of 35 draws over 45 blocks of 14: each kind's own rounding would add up."""
    cells = grid([35] * 18)
    level = [
        "{axis: shots, points: {0: {0: 1, 1: 1, 2: 1}}}",
        "{axis: source, points: {0: {web: 1, emoji: 1}}}",
        "{axis: format, points: {0: {caption: 1, open_qa: 1, multiple_choice: 1}}}",
    ]
    assert arrange(cells, cells.samples, curriculum(*level, blocks=45)).worst <= 100 * 1.5 / 14


def test_a_path_within_a_part_leaves_the_rest_to_its_own_schedule():
    """Replay has no shots: over the whole plan both schedules contradict, within the rest they do not."""
    table = [(0, "yes", 600)] + [(k, "no", 280) for k in (0, 1, 2, 4, 8)]
    cells = cells_of(("shots", "replay"), table)
    replay = "{axis: replay, kind: linear, points: {0: {yes: 50, no: 50}, 1: {yes: 10, no: 90}}}"
    whole = arrange(cells, cells.samples, curriculum("{axis: shots, kind: linear, path: [0, 1, 2, 4, 8]}", replay, blocks=10))
    within = arrange(
        cells,
        cells.samples,
        curriculum("{axis: shots, kind: linear, path: [0, 1, 2, 4, 8], within: {replay: no}}", replay, blocks=10),
    )
    assert whole.worst > 10
    assert within.worst <= 1.5
    assert within.counts.sum(axis=0).tolist() == cells.samples.tolist()
    assert np.ptp(within.counts.sum(axis=1)) <= 1


def test_axes_without_a_schedule_stay_flat():
    cells = cells_of(
        ("shots", "format", "concept"),
        [(k, f, f"c{c}", 4) for k in (0, 1, 2) for f in ("caption", "open_qa") for c in range(100)],
    )
    arranged = arrange(cells, cells.samples, curriculum(path("linear"), blocks=8))
    assert np.abs(block_shares(cells, arranged.counts, "format") - 0.5).max() < 0.06
    even = arrange(cells, cells.samples, Curriculum(blocks=10))
    assert np.abs(block_shares(cells, even.counts, "shots") - 1 / 3).max() < 0.06
    assert np.abs(block_shares(cells, even.counts, "format") - 0.5).max() < 0.06


def test_a_cell_with_several_draws_is_spread_over_its_blocks():
    cells = cells_of(("shots", "concept"), [(k, f"c{c}", 4) for k in (0, 1, 2) for c in range(50)])
    arranged = arrange(cells, cells.samples, curriculum(path("step"), blocks=12))
    assert arranged.counts.max() <= 2
    assert (arranged.counts > 0).sum(axis=0).min() >= 3


def test_values_that_are_not_on_the_path_keep_their_share_in_every_block():
    cells = cells_of(("hardness",), [("low", 200), ("mid", 200), ("high", 200), ("none", 600)])
    arranged = arrange(cells, cells.samples, curriculum("{axis: hardness, kind: step, path: [low, mid, high]}", blocks=6))
    none = block_shares(cells, arranged.counts, "hardness")[:, cells.values["hardness"].index("none")]
    assert none == pytest.approx(np.full(6, 0.5), abs=0.006)


def test_draws_of_values_that_no_point_names_are_off_their_target_of_nothing():
    cells = cells_of(("source",), [("web", 300), ("emoji", 100)])
    arranged = arrange(cells, cells.samples, curriculum("{axis: source, points: {0: {web: 1}}}", blocks=4))
    assert arranged.tracks[0].target[:, arranged.tracks[0].values.index("emoji")].tolist() == [0] * 4
    assert arranged.worst == pytest.approx(25, abs=0.5)
    assert arranged.counts.sum(axis=0).tolist() == cells.samples.tolist()


def test_targets_are_shares_of_units_when_units_differ():
    base = cells_of(("shots",), [(0, 300), (1, 300)])
    cells = type(base)(base.axes, base.values, base.samples, np.array([10.0, 30.0]), base.limits, None)
    arranged = arrange(cells, cells.samples, curriculum("{axis: shots, kind: linear, path: [0, 1]}", blocks=5))
    track = arranged.tracks[0]
    half = arranged.counts[2] * cells.units
    assert track.realised[2].tolist() == pytest.approx((half / half.sum()).tolist())
    assert arranged.worst <= 2


@pytest.mark.filterwarnings("error")
def test_points_are_followed_where_samples_of_one_value_are_twenty_times_as_long():
    cells = cells_of(("format",), [("caption", 40_000), ("open_qa", 2_000), ("text", 400)])
    cells = type(cells)(cells.axes, cells.values, cells.samples, np.array([5.0, 100.0, 0.0]), cells.limits, None)
    course = "{axis: format, points: {0: {caption: 10, open_qa: 90}, 1: {caption: 90, open_qa: 10}}}"
    arranged = arrange(cells, np.array([20_000, 1_000, 40]), curriculum(course, blocks=10))
    assert arranged.worst < 1
    assert (arranged.counts[:, 2] >= 1).all()  # what has no units is spread out too
    units = (arranged.counts * cells.units).sum(axis=1)
    assert units.max() - units.min() <= 200
    assert arranged.counts.sum(axis=0).tolist() == [20_000, 1_000, 40]


def test_no_draws_and_values_without_units_are_laid_out_without_a_warning():
    base = cells_of(("source", "shots"), [("web", 0, 40), ("emoji", 1, 40)])
    plan = curriculum("{axis: source, points: {0: {web: 1}, 1: {emoji: 1}}}", "{axis: shots, path: [0, 1]}", blocks=4)
    nothing = arrange(base, np.zeros(2, dtype=np.int64), plan)
    assert nothing.counts.tolist() == [[0, 0]]
    unread = type(base)(base.axes, base.values, base.samples, np.array([0.0, 3.0]), base.limits, None)
    arranged = arrange(unread, base.samples, plan)
    assert arranged.counts.sum(axis=0).tolist() == [40, 40]
    assert np.isfinite(arranged.worst)


def test_the_flat_control_is_the_same_draw_in_one_block():
    cells = grid([9] * 18)
    flat = arrange(cells, cells.samples, None)
    assert flat.counts.tolist() == [cells.samples.tolist()]
    assert flat.ends.tolist() == [9 * 18]
    assert flat.tracks == []


def test_auto_takes_a_block_for_512_draws_and_at_most_64():
    def blocks(total):
        cells = cells_of(("shots",), [(0, total)])
        return len(arrange(cells, cells.samples, curriculum(path("step"))).ends)

    assert [blocks(n) for n in (1, 511, 1024, 5120, 10**5)] == [1, 1, 2, 10, 64]


@given(grids(), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_same_draws_are_laid_out_alike(cells, seed):
    plan = curriculum(path("cosine"), POINTS % "linear", blocks=7)
    draws = some_draws(cells, seed)
    assert arrange(cells, draws, plan).counts.tolist() == arrange(cells, draws, plan).counts.tolist()


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("{axis: shots}", "either path or points"),
        ("{axis: shots, path: [0], points: {0: {0: 1}}}", "either path or points"),
        ("{axis: shots, path: [0, 0]}", "twice"),
        ("{axis: source, points: {2: {web: 1}}}", "progress runs from 0 to 1"),
        ("{axis: source, points: {0: {web: 0}}}", "must not all be 0"),
        ("{axis: source, within: {shots: 0}, points: {0: {web: 1}}}", "only a path"),
        ("{axis: shots, kind: cosinus, path: [0]}", "cosine"),
        ("{axis: shots, pth: [0]}", "unknown key 'schedules.0.pth'"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(schedule, message):
    with pytest.raises(ConfigError, match=message):
        curriculum(schedule)


def test_two_schedules_on_one_axis_and_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="two schedules"):
        curriculum(path("step"), path("linear"))
    with pytest.raises(ConfigError, match="did you mean 'shots'"):
        arrange(grid([9] * 18), grid([9] * 18).samples, curriculum("{axis: shot, path: [0]}"))
    with pytest.raises(ConfigError, match="did you mean 'caption'"):
        arrange(grid([9] * 18), grid([9] * 18).samples, curriculum("{axis: format, path: [captoin]}"))
