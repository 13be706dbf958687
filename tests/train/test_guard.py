"""Bad steps are skipped, counted and kept; too many in a row end the run."""

import json
from pathlib import Path

import pytest
import torch

from curate.errors import InputError, QualityError
from curate.shards.plans import Plan
from train.data.records import Batch, Segment
from train.guard import KEPT, Guard, load_dump


def batch(seed: int = 0, sample: int = 3) -> Batch:
    dice = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 9, (2, 8), generator=dice)
    inputs = {"input_ids": ids, "position_ids": torch.arange(8).expand(2, 8), "pixel_values": torch.rand(3, 3, 4, 4)}
    contents = (Segment(0, 0, 5, sample), Segment(1, 0, 8, -1))
    return Batch(inputs, ids, torch.rand(2, 8), ids.short(), torch.ones(2, 8).int(), contents)


def dumps(out: Path) -> list[str]:
    return sorted(folder.name for folder in (out / "bad").glob("*"))


def test_a_finite_step_is_taken_and_leaves_nothing(tmp_path: Path) -> None:
    guard = Guard(tmp_path, 3)
    assert guard.judge(1, True, [batch()])
    assert guard.skipped == 0
    assert list(tmp_path.iterdir()) == []


def test_a_bad_step_is_skipped_counted_and_its_batches_come_back(tmp_path: Path, episodes_plan: Plan) -> None:
    guard, made = Guard(tmp_path, 3, episodes_plan, {"config": "abc", "seed": 7}, rank=1), [batch(1, 3), batch(2, 20)]
    assert not guard.judge(12, False, made, {"losses": [float("nan"), 1.5]})
    assert guard.skipped == 1
    dump = load_dump(tmp_path / "bad" / "step-00000012", rank=1)
    for one, other in zip(dump.batches, made, strict=True):
        assert all(torch.equal(one.inputs[name], tensor) for name, tensor in other.inputs.items())
        assert all(torch.equal(getattr(one, n), getattr(other, n)) for n in ("labels", "weights", "answers", "segments"))
        assert one.contents == other.contents
    assert {name: dump.facts[name] for name in ("step", "rank", "config", "seed", "losses")} == {
        "step": 12, "rank": 1, "config": "abc", "seed": 7, "losses": ["nan", 1.5],
    }  # fmt: skip
    first = dump.facts["batches"][0][0]
    assert (first["key"], first["shard"]) == ("00000003", "part-00000.tar")
    assert "key" not in dump.facts["batches"][0][1]


def test_the_third_bad_step_in_a_row_stops_and_names_the_dump(tmp_path: Path) -> None:
    guard = Guard(tmp_path, 3)
    verdicts = [guard.judge(step, step == 3, [batch()]) for step in (1, 2, 3, 4, 5)]
    assert verdicts == [False, False, True, False, False]
    with pytest.raises(QualityError, match=rf"3 steps in a row .*{tmp_path / 'bad' / 'step-00000006'}.*optimizer\.lr"):
        guard.judge(6, False, [batch()])
    assert dumps(tmp_path)[-1] == "step-00000006"


def test_a_skipped_step_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Guard(tmp_path, 3).judge(7, False, [batch()])
    assert "step 7" in caplog.text
    assert "step-00000007" in caplog.text


def test_bad_steps_in_a_row_are_counted_across_an_interruption(tmp_path: Path) -> None:
    guard = Guard(tmp_path, 3)
    for step in (1, 2):
        guard.judge(step, False, [batch()])
    later = Guard(tmp_path, 3)
    later.restore(json.loads(json.dumps(guard.state())))
    assert later.skipped == 2
    with pytest.raises(QualityError):
        later.judge(3, False, [batch()])


def test_only_the_latest_dumps_are_kept(tmp_path: Path) -> None:
    guards = [Guard(tmp_path, 1000, rank=rank) for rank in range(2)]
    for step in range(KEPT + 3):
        for guard in guards:
            guard.judge(step, False, [batch()])
    assert dumps(tmp_path) == [f"step-{step:08d}" for step in range(3, KEPT + 3)]


def test_a_dump_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_dump(tmp_path / "bad" / "step-00000001")
