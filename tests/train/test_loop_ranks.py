"""What must hold of whole runs on several ranks: the curve of one rank, also when their number changes on the way."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributed.tensor import DTensor

import train.loop
from curate.storage import Folder
from tests.train.parallel.two_ranks import Failed, run_ranks
from tests.train.tiny_episodes import tiny_episode, tiny_plan, tiny_record
from tests.train.tiny_runs import Crash, CrashAt, close, curve_of, rows_of, save_tiny_model, tiny_config
from train.config import TrainConfig
from train.guard import load_dump
from train.loop import Loop, Summary
from train.loop import train as trained

THREE_ROWS = {"max_tokens": 320, "load": {"batch": 3, "epochs": 4}}
"""Three rows do not divide by two: a rank has a row of padding at every step."""


def go(config: TrainConfig, crash: int = 0) -> str:
    """Trains in a rank that `run_ranks` started; a crash is an expected end."""
    try:
        trained(config, CrashAt(crash))
    except Crash:
        return "crashed"
    except Exception as error:  # the rank that did not crash lost the other one
        if not crash:
            raise
        return type(error).__name__
    return "done"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Episodes of 0 to 4 shots; every third one is text alone, so that ranks have micro-batches without a picture."""
    made = [tiny_episode(number, (0, 1, 2, 4)[number % 4], images=int(number % 3 > 0)) for number in range(18)]
    two_sources = [(replace(episode, source="ab"[at % 2]), pictures) for at, (episode, pictures) in enumerate(made)]
    samples = [(tiny_record(episode), pictures) for episode, pictures in two_sources]
    return tiny_plan(Folder.of(tmp_path_factory.mktemp("texts")), samples)


@pytest.fixture(scope="module")
def one(tmp_path_factory, model, plan):
    """The run of one rank."""
    out = tmp_path_factory.mktemp("one") / "run"
    trained(tiny_config(model, plan, out, data=THREE_ROWS))
    return out


def parts_of(out):
    """The last row's losses by every axis, flat."""
    losses = rows_of(out)[-1]["losses"]
    return {(axis, name): part["loss"] for axis, parts in losses.items() for name, part in parts.items()}


def agree(one, two):
    """Equal losses, whole and by every part, over equal tokens."""
    close(curve_of(two), curve_of(one))
    close(parts_of(two), parts_of(one), 1e-4)
    assert [row["tokens"] for row in rows_of(two)] == [row["tokens"] for row in rows_of(one)]


def test_two_ranks_have_the_curve_of_one_with_a_trained_tower(tmp_path, model, plan, one):
    run_ranks(go, 2, tiny_config(model, plan, tmp_path / "two", data=THREE_ROWS), timeout=120)
    agree(one, tmp_path / "two")


@pytest.mark.parametrize(("name", "kept"), [("vicuna", "sharded"), ("vicuna", "replicated"), ("qwen", "sharded")])
def test_two_ranks_have_the_curve_of_one_with_a_frozen_tower(tmp_path, processors, plan, name, kept):
    place = save_tiny_model(tmp_path / "model", name, processors[name])
    more = {"data": THREE_ROWS, "parts": [{"match": "all", "train": "full"}, {"match": "vision", "train": "frozen"}]}
    trained(tiny_config(place, plan, tmp_path / "one", **more))
    run_ranks(go, 2, tiny_config(place, plan, tmp_path / "two", parallel={"frozen": kept}, **more), timeout=120)
    agree(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_run_goes_on_with_another_number_of_ranks(tmp_path, model, plan, one, before, after):
    checkpoint = {"every": 2, "background": False}
    config = tiny_config(model, plan, tmp_path / "run", data=THREE_ROWS, checkpoint=checkpoint, parallel={"timeout": 30})
    assert "crashed" in run_ranks(go, before, config, 5, timeout=120)
    assert run_ranks(go, after, config, timeout=120) == ["done"] * after
    close(curve_of(tmp_path / "run"), curve_of(one))


# One of two ranks meets something that the other does not; every rank is a process, which may be patched for good.


def before_each_step(then: Callable[[Loop], None]) -> None:
    """Every step of this process begins with `then`."""
    step = Loop._step

    def patched(loop, batches):
        then(loop)
        step(loop, batches)

    Loop._step = patched


def weights_of(loop: Loop) -> list[torch.Tensor]:
    """Every trained weight whole, as the shards of this rank's group have it."""
    return [(p.full_tensor() if isinstance(p, DTensor) else p).detach().clone() for p in loop.run.trained]


def go_with_nan(config: TrainConfig, rank: int, step: int) -> tuple[Summary, list[list[torch.Tensor]]]:
    """Trains; one rank's loss is none at one step. Gives all weights before every step."""
    plain, seen = train.loop.token_losses, []

    def spoil(loop):
        bad = loop.run.ranks.rank == rank and loop.step == step
        train.loop.token_losses = (lambda *a: plain(*a) * torch.nan) if bad else plain
        seen.append(weights_of(loop))

    before_each_step(spoil)
    return trained(config), seen


def same(left, right):
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_loss_that_is_none_on_one_rank_makes_all_skip_the_step(tmp_path, model, plan, replicas):
    config = tiny_config(model, plan, tmp_path / "run", data=THREE_ROWS, parallel={"timeout": 30, "replicas": replicas})
    (one, first), (other, second) = run_ranks(go_with_nan, 2, config, 1, 2, timeout=120)
    assert (one.skipped, other.skipped, one.step, other.step) == (1, 1, one.steps, one.steps)
    assert all(same(left, right) for left, right in zip(first, second, strict=True))
    assert [at for at in range(len(first) - 1) if same(first[at], first[at + 1])] == [2]
    (folder,) = (tmp_path / "run" / "bad").iterdir()
    kept = [{s["sample"] for batch in load_dump(folder, rank).facts["batches"] for s in batch} - {-1} for rank in range(2)]
    assert kept[0]
    assert not kept[0] & kept[1], "what each rank had"
    curve = curve_of(tmp_path / "run")
    assert [step for step, loss in curve.items() if loss is None] == [3]


def go_with_a_signal(config: TrainConfig, rank: int, step: int) -> Summary:
    """Trains; SIGTERM reaches one rank during one step."""

    def send(loop):
        if loop.run.ranks.rank == rank and loop.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    before_each_step(send)
    return trained(config)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_rank_stops_all_at_the_same_step(tmp_path, model, plan, one, rank):
    config = tiny_config(model, plan, tmp_path / "run", data=THREE_ROWS, parallel={"timeout": 30})
    stopped = run_ranks(go_with_a_signal, 2, config, rank, 2, timeout=120)
    assert [(s.step, s.signal, s.exit_code) for s in stopped] == [(3, signal.SIGTERM, 0)] * 2
    assert (tmp_path / "run" / "checkpoints" / "step-00000003").is_dir()
    assert run_ranks(go, 2, config, timeout=120) == ["done"] * 2
    close(curve_of(tmp_path / "run"), curve_of(one))


def go_until_killed(config: TrainConfig, rows: int) -> None:
    """Trains until the log has some rows; then, wherever the process is, it ends at once."""
    log = Path(config.out) / "metrics.jsonl"

    def watch():
        while not log.exists() or log.read_bytes().count(b"\n") < rows:
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    trained(config)


def test_a_run_whose_ranks_were_all_killed_goes_on_with_one(tmp_path, model, plan, one):
    config = tiny_config(model, plan, tmp_path / "run", data=THREE_ROWS, checkpoint={"every": 1}, parallel={"timeout": 30})
    ends = run_ranks(go_until_killed, 2, config, 5, timeout=120, failing=True)
    assert all(isinstance(end, Failed) for end in ends)
    assert "Killed" in {end.kind for end in ends}
    trained(config)
    close(curve_of(tmp_path / "run"), curve_of(one))


def test_adapters_learn_on_two_ranks_in_bfloat16_what_they_learn_on_one_in_float32(tmp_path, model, plan):
    adapters = {"parts": [{"match": "all", "train": "frozen"}, {"match": "language", "train": "lora"}], "lora": {"rank": 4}}
    trained(tiny_config(model, plan, tmp_path / "one", data=THREE_ROWS, **adapters))
    half = tiny_config(model, plan, tmp_path / "two", data=THREE_ROWS, compute={"dtype": "bfloat16"}, **adapters)
    run_ranks(go, 2, half, timeout=120)
    curve = curve_of(tmp_path / "one")
    close(curve_of(tmp_path / "two"), curve, 1e-2)
    losses = list(curve.values())
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
