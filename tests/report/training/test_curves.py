"""Curves are what the log says, whatever else stands in the file; smoothing keeps ends and means."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.report.training.curves import Curves, best, smoothed, thinned
from curate.report.training.lines import nice, said, scale_of
from curate.storage import Folder

points = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=900).map(lambda ys: [(float(x), y) for x, y in enumerate(ys)])


def read(folder: Path, rows: list[Any]) -> Curves:
    folder.joinpath("metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Curves.read(Folder.of(folder), "run")


def test_figures_are_found_by_their_place(tmp_path: Path) -> None:
    losses = {"shots": {"0": {"loss": 3.0, "tokens": 4}}}
    run = read(tmp_path, [
        {"step": 10, "kind": "train", "loss": 2.0, "lr": {"head": 0.1}, "losses": losses},
        {"step": 10, "kind": "validation", "loss": 2.5},
        {"step": 20, "kind": "train", "loss": None, "lr": {"head": 0.2, "body": 1}},
    ])  # fmt: skip
    assert run.steps == 20
    assert run.of("loss") == [(10, 2.0)]
    assert run.of("loss", kind="validation") == [(10, 2.5)]
    assert run.of("lr", "head") == [(10, 0.1), (20, 0.2)]
    assert run.keys("lr") == ["head", "body"]
    assert run.values("shots") == ["0"]


def test_means_are_weighted_by_tokens_and_positions_stand_in_order(tmp_path: Path) -> None:
    shots = [{"10": {"loss": 1.0, "tokens": 1}, "2": {"loss": 4.0, "tokens": 3}}, {"2": {"loss": 2.0, "tokens": 1}}]
    run = read(tmp_path, [{"step": at, "kind": "train", "losses": {"shots": one}} for at, one in enumerate(shots)])
    assert run.values("shots") == ["2", "10"]
    assert run.mean("shots", "2", run.train) == 3.5
    assert run.mean("shots", "3", run.train) is None


STRANGE = [
    {"step": True}, {"step": "1"}, {"kind": "train"}, {"step": 1, "kind": "train", "losses": 7},
    {"step": 2, "kind": "train", "losses": {"shots": [1]}}, {"step": 3, "kind": "train", "loss": 1e308, "lr": {"a": {"b": 1}}},
    {"step": 4, "kind": "train", "losses": {"source": {"x": {"loss": "y", "tokens": None}}}, "tokens": float("inf")},
]  # fmt: skip


def test_strange_rows_are_passed_over(tmp_path: Path) -> None:
    run = read(tmp_path, STRANGE)
    assert run.of("loss") == []
    assert run.of("lr", "a") == []
    assert run.of("tokens") == []
    assert run.mean("source", "x", run.train) is None


def test_a_torn_line_ends_the_curve_and_no_line_is_said(tmp_path: Path) -> None:
    tmp_path.joinpath("metrics.jsonl").write_text('{"step": 1, "kind": "train", "loss": 1}\n{"step": 2, "ki')
    assert Curves.read(Folder.of(tmp_path), "run").steps == 1
    tmp_path.joinpath("metrics.jsonl").write_text("")
    with pytest.raises(InputError, match="no row yet"):
        Curves.read(Folder.of(tmp_path), "run")


@given(points)
def test_smoothing_keeps_steps_and_stays_within_the_values(curve: list[tuple[float, float]]) -> None:
    mean = smoothed(curve)
    assert [x for x, _ in mean] == [x for x, _ in curve]
    low, high = min(y for _, y in curve), max(y for _, y in curve)
    assert all(low - 1e-3 <= y <= high + 1e-3 for _, y in mean)


@given(points)
def test_thinning_keeps_the_mean(curve: list[tuple[float, float]]) -> None:
    thin = thinned(curve, 100)
    assert len(thin) == min(len(curve), 100)
    if len(curve) % 100 == 0:
        assert sum(y for _, y in thin) / len(thin) == pytest.approx(sum(y for _, y in curve) / len(curve), abs=1e-3)


def test_the_lowest_point_is_the_best() -> None:
    assert best([(1, 3.0), (2, 1.0), (3, 2.0)]) == (2, 1.0)
    assert best([]) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9), st.booleans(), st.booleans())
def test_an_axis_holds_its_values_between_round_levels(values: list[float], log: bool, zero: bool) -> None:
    scale = scale_of(values, log, zero)
    assert scale.low < scale.high
    assert len(scale.levels) >= 2
    assert all(0 <= scale.y(value) <= 180 for value in values)
    if not scale.log:
        slack = 1e-6 * (scale.high - scale.low)
        assert scale.low <= min(values) + slack
        assert scale.high >= max(values) - slack


def test_levels_are_round() -> None:
    assert nice(0.93, 3.4, 4) == [0, 1, 2, 3, 4]
    assert nice(0, 0.00087, 4) == [0, 0.0005, 0.001]


def test_numbers_are_short() -> None:
    assert [said(v) for v in (0, 0.00002, 0.25, 3.14159, 12345, 2e6, -1500)] == [
        "0",
        "2e-5",
        "0.25",
        "3.142",
        "12.35k",
        "2M",
        "-1.5k",
    ]
