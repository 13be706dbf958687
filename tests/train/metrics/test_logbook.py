"""A curve never has a step twice, a torn line heals, and only one rank writes."""

import json
from pathlib import Path
from typing import Any

import pytest

from train.metrics.logbook import Logbook, Row, flat, read_rows


def row(step: int, loss: float = 1.0, **more: Any) -> Row:
    return {"step": step, "kind": "train", "loss": loss, **more}  # type: ignore[typeddict-item]


def steps(out: Path) -> list[int]:
    return [one["step"] for one in read_rows(out / "metrics.jsonl")]


def written(out: Path, rows: range, resumed: int = 0, **more: Any) -> None:
    with Logbook(out, resumed=resumed, tensorboard=False, **more) as book:
        for step in rows:
            book.write(row(step))


def test_rows_are_lines_that_are_there_at_once(tmp_path: Path) -> None:
    book = Logbook(tmp_path, tensorboard=False)
    book.write(row(10, losses={"source": {"wéb": {"loss": 0.5, "tokens": 3}}}))
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line == {"step": 10, "kind": "train", "loss": 1.0, "losses": {"source": {"wéb": {"loss": 0.5, "tokens": 3}}}}
    book.close()


@pytest.mark.parametrize("resumed", [0, 20, 25, 50])
def test_going_on_cuts_what_comes_behind_the_checkpoint(tmp_path: Path, resumed: int) -> None:
    written(tmp_path, range(10, 60, 10))
    written(tmp_path, range(resumed + 5, 70, 10), resumed)
    assert steps(tmp_path) == [*range(10, resumed + 1, 10), *range(resumed + 5, 70, 10)]


@pytest.mark.parametrize(
    "torn", ['{"step": 40, "kind": "tr', '{"step": 40}garbage\n', "\x00\x00\x00", "[]\n", '{"kind": "train"}']
)
def test_a_line_that_a_killed_process_left_half_written_is_cut(tmp_path: Path, torn: str) -> None:
    written(tmp_path, range(10, 40, 10))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    written(tmp_path, range(40, 50, 10), resumed=30)
    assert steps(tmp_path) == [10, 20, 30, 40]
    assert (tmp_path / "metrics.jsonl").read_text().endswith("}\n")


def test_what_is_not_finite_stands_as_null(tmp_path: Path) -> None:
    with Logbook(tmp_path, tensorboard=False) as book:
        book.write(row(1, float("nan"), grad_norm=float("inf"), losses={"shots": {"0": {"loss": float("nan"), "tokens": 0}}}))
    found = read_rows(tmp_path / "metrics.jsonl")[0]
    assert (found["loss"], found["grad_norm"], found["losses"]["shots"]["0"]["loss"]) == (None, None, None)


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    written(tmp_path, range(1, 5), writes=False)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_has_every_figure_and_no_step_twice(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for resumed, loss in ((0, 1.0), (2, 2.0)):
        with Logbook(tmp_path, resumed=resumed) as book:
            for step in range(resumed + 1, 5):
                book.write(row(step, loss, lr={"head": 0.1}, losses={"format": {"open_qa": {"loss": loss, "tokens": 7}}}))
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert {"train/loss", "train/lr/head", "train_format/open_qa/loss"} <= set(board.Tags()["scalars"])
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


def test_figures_are_named_with_dots() -> None:
    assert flat({"loss": 1, "memory_gb": {"now": 2.0}, "kind": "train"}) == {"loss": 1.0, "memory_gb.now": 2.0}
