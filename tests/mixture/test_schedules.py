import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ConfigError
from curate.mixture.schedules import path_over, points_over, ramp_integral

KINDS = st.sampled_from(["step", "linear", "cosine"])
WIDTHS = st.lists(st.one_of(st.just(0.0), st.floats(0.01, 1)), min_size=1, max_size=6).filter(lambda ws: sum(ws) > 0)


def even(blocks: int):
    return np.linspace(0, 1, blocks + 1)


@given(KINDS, WIDTHS, st.integers(1, 70))
def test_a_path_fills_every_block_and_keeps_every_values_total(kind, widths, blocks):
    widths = np.array(widths) / sum(widths)
    shares = path_over(kind, widths, even(blocks))
    assert shares.min() >= 0
    assert shares.sum(axis=1) == pytest.approx(np.ones(blocks))
    assert shares.mean(axis=0) == pytest.approx(widths)


@given(KINDS, WIDTHS)
def test_values_come_in_their_order(kind, widths):
    widths = np.array(widths) / sum(widths)
    shares = path_over(kind, widths, even(64))
    centres = [(shares[:, v] * np.arange(64)).sum() / shares[:, v].sum() for v in np.flatnonzero(widths)]
    assert (np.diff(centres) >= -1e-9).all()
    mean_value = shares @ np.arange(len(widths))
    assert (np.diff(mean_value) >= -1e-9).all()


def test_steps_do_not_overlap_and_fades_do():
    widths = np.full(4, 0.25)
    assert set(np.unique(path_over("step", widths, even(8))).tolist()) == {0.0, 1.0}
    together = (path_over("linear", widths, even(64)) > 1e-12).sum(axis=1)
    assert together.max() == 2
    assert (together == 2).mean() > 0.5


@given(st.sampled_from(["linear", "cosine"]), st.floats(0, 0.5), st.floats(0.05, 0.5), st.floats(0, 1))
def test_the_integral_is_that_of_the_ramp(kind, start, length, until):
    at = np.linspace(0, until, 20_001)
    z = np.clip((at - start) / length, 0, 1)
    ramp = z if kind == "linear" else (1 - np.cos(np.pi * z)) / 2
    assert ramp_integral(kind, np.array([until]), start, start + length)[0] == pytest.approx(np.trapezoid(ramp, at), abs=1e-6)


def test_points_are_met_and_between_them_it_goes_as_the_kind_says():
    points = {0.0: {"yes": 50, "no": 50}, 1.0: {"yes": 10, "no": 90}}
    fine = np.array([0, 1e-6, 0.25, 0.25 + 1e-6, 1 - 1e-6, 1])
    at = {kind: points_over(kind, points, fine)[1][[0, 2, 4], 0] for kind in ("step", "linear", "cosine")}
    assert at["step"] == pytest.approx([0.5, 0.5, 0.5], abs=1e-4)
    assert at["linear"] == pytest.approx([0.5, 0.4, 0.1], abs=1e-4)
    assert at["cosine"] == pytest.approx([0.5, 0.5 - 0.4 * (1 - np.cos(np.pi / 4)) / 2, 0.1], abs=1e-4)


def test_outside_the_points_shares_are_constant_and_a_step_holds_until_the_next_point():
    points = {0.25: {"a": 1}, 0.75: {"b": 1}}
    values, shares = points_over("step", points, even(4))
    assert values == ["a", "b"]
    assert shares.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
    linear = points_over("linear", points, even(4))[1]
    assert linear[0].tolist() == [1, 0]
    assert linear[3] == pytest.approx([0, 1])


def test_points_without_weight_are_refused():
    with pytest.raises(ConfigError, match=r"progress 0\.5"):
        points_over("linear", {0.5: {"a": 0}}, even(2))
