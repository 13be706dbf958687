"""A person reads the loss, the pace and the time left; lines come now and then, validation and the end always."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from train.metrics.line import Plain, Silent, Watch, clock, short, told
from train.metrics.logbook import Row
from train.metrics.profiling import profiled

RATES = {"all": 45600.0, "real": 41000.0, "supervised": 987.0}
ROW: dict[str, Any] = {
    "step": 40, "kind": "train", "loss": 1.23456, "tokens": 900, "tokens_per_s": RATES, "images_per_s": 12.5,
    "data_wait": 0.031, "memory_gb": {"now": 2.0, "peak": 3.14}, "mfu": 0.456, "eta_s": 4000.0, "bad_steps": 2,
}  # fmt: skip


def of(**more: Any) -> Row:
    return {**ROW, **more}  # type: ignore[return-value, typeddict-item]


def test_a_line_says_what_is_known() -> None:
    line = told(of(), 200)
    for part in (
        "step 40/200",
        "loss 1.2346",
        "45.6k/41k/987 tok/s",
        "12.5 img/s",
        "wait 3%",
        "3.1 GB",
        "MFU 46%",
        "2 skipped",
    ):
        assert part in line
    assert told({"step": 1, "kind": "train", "loss": None}) == "step 1  loss not finite"
    assert told(of(kind="validation"), 200) == "step 40/200  validation loss 1.2346 over 900 tokens"


def test_plain_lines_come_now_and_then_but_validation_and_the_end_always() -> None:
    said: list[str] = []
    watch: Watch = Plain(said.append, seconds=1000)
    watch.begin(0, 100)
    for step in (10, 20):
        watch.row(of(step=step))
    watch.row(of(step=20, kind="validation"))
    watch.row(of(step=90))
    watch.row(of(step=100))
    watch.note("checkpoint")
    watch.close()
    assert [line.split("  ")[0] for line in said] == [
        "training: 100 steps", "step 10/100", "step 20/100", "step 100/100", "checkpoint",
    ]  # fmt: skip


def test_silence_is_a_watch() -> None:
    watch: Watch = Silent()
    watch.begin(0, 1)
    watch.row(of())


@pytest.mark.parametrize(
    ("seconds", "words"), [(45, "45 s"), (700, "12 min"), (11100, "3 h 05 min"), (11130, "3 h 06 min"), (187200, "2 d 4 h")]
)
def test_times_are_for_people(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_numbers_have_three_digits() -> None:
    assert [short(v) for v in (0.1234, 987, 1234, 45_600, 1.2e6, 3e9)] == ["0.123", "987", "1.23k", "45.6k", "1.2M", "3G"]


@pytest.mark.parametrize("end", [3, 10])
def test_the_profiler_records_the_steps_asked_for(tmp_path: Path, end: int) -> None:
    with profiled((2, 4), tmp_path, rank=1) as before:
        for done in range(end):
            before(done)
            with torch.profiler.record_function(f"step {done + 1}"):
                torch.ones(4) @ torch.ones(4)
    names = {event.get("name") for event in json.loads((tmp_path / "profile" / "rank-1.json").read_text())["traceEvents"]}
    assert {f"step {number}" for number in range(1, 11)} & names == {f"step {number}" for number in range(2, min(end, 4) + 1)}


def test_without_a_wish_nothing_is_profiled(tmp_path: Path) -> None:
    with profiled(None, tmp_path) as before:
        before(0)
    assert list(tmp_path.iterdir()) == []
