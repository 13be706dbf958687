"""What must hold of whole runs, at the smallest size."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch
import yaml

import train.loop
from curate.errors import ConfigError, QualityError
from curate.storage import Folder
from tests.train.tiny_episodes import mixed_plan
from tests.train.tiny_runs import Crash, CrashAt, close, curve_of, rows_of, save_tiny_model, tiny_config
from train.loop import Loop
from train.loop import train as trained
from train.metrics import Silent
from train.signals import Asked

ALL_AT_ONCE = {"load": {"batch": 1000, "epochs": 1}}
"""The one step holds the whole plan, so that rows of any make hold the same samples; a validation sees what it learned."""


@pytest.fixture(scope="session")
def whole(tmp_path_factory, model, episodes_plan):
    """A run that nothing interrupted, with a checkpoint at its end."""
    out = tmp_path_factory.mktemp("whole") / "run"
    trained(tiny_config(model, episodes_plan, out))
    return out


def test_a_run_learns_and_leaves_its_folder(whole):
    curve = list(curve_of(whole).values())
    assert sum(curve[-3:]) < 0.7 * sum(curve[:3])
    assert {"config.yaml", "metrics.jsonl", "checkpoints", "summary.json"} <= set(os.listdir(whole))


def test_a_run_repeats_bit_for_bit(tmp_path, model, episodes_plan, whole):
    trained(tiny_config(model, episodes_plan, tmp_path / "again"))
    assert curve_of(tmp_path / "again") == curve_of(whole)


@pytest.mark.parametrize("name", ["vicuna", "qwen"])
def test_losses_are_the_same_in_one_batch_accumulated_packed_and_unpacked(tmp_path, processors, episodes_plan, name):
    place = save_tiny_model(tmp_path / "model", name, processors[name])
    loads = {
        "packed": {},
        "accumulated": {"micro_batch": 3},
        "alone": {"packing": False},
        "by six": {"packing": False, "micro_batch": 6},
    }
    for kind, load in loads.items():
        data, held_out = {"load": {**ALL_AT_ONCE["load"], **load}}, {"plan": episodes_plan.folder.uri, "samples": 24}
        trained(tiny_config(place, episodes_plan, tmp_path / kind, data=data, validation=held_out))
    for kind in loads:
        close(curve_of(tmp_path / kind), curve_of(tmp_path / "packed"))
        close(curve_of(tmp_path / kind, "validation"), curve_of(tmp_path / "packed", "validation"))
    assert curve_of(tmp_path / "packed", "validation")[1] < curve_of(tmp_path / "packed")[1]
    parts = [rows_of(tmp_path / kind)[-1]["losses"]["shots"] for kind in loads]
    for part in parts[1:]:
        assert {at: one["tokens"] for at, one in part.items()} == {at: one["tokens"] for at, one in parts[0].items()}
        close({at: one["loss"] for at, one in part.items()}, {at: one["loss"] for at, one in parts[0].items()}, 1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_crashed_anywhere_goes_on_to_the_same_curve(tmp_path, model, episodes_plan, whole, seed):
    steps = list(curve_of(whole))
    config = tiny_config(model, episodes_plan, tmp_path / "run", checkpoint={"every": 2, "background": False})
    for step in sorted(random.Random(seed).sample(steps[1:], 2)):
        with pytest.raises(Crash):
            trained(config, CrashAt(step))
    trained(config)
    assert curve_of(tmp_path / "run") == curve_of(whole)


def test_sums_of_a_log_line_outlive_an_interruption_in_its_middle(tmp_path, model, episodes_plan):
    seldom = {"log": {"every": 4}}
    trained(tiny_config(model, episodes_plan, tmp_path / "one", **seldom))
    config = tiny_config(model, episodes_plan, tmp_path / "two", checkpoint={"every": 3, "background": False}, **seldom)
    with pytest.raises(Crash):
        trained(config, CrashAt(5))
    trained(config)
    close(curve_of(tmp_path / "two"), curve_of(tmp_path / "one"), 1e-12)


def test_kill_9_and_going_on_gives_the_same_curve(tmp_path, model, episodes_plan, whole):
    config = tiny_config(model, episodes_plan, tmp_path / "run", checkpoint={"every": 1})
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config.plain()))
    command = [sys.executable, "-m", "train", str(tmp_path / "run.yaml")]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    log, step = tmp_path / "run" / "metrics.jsonl", random.Random(1).randint(3, 8)
    until = time.monotonic() + 120
    while time.monotonic() < until and (not log.exists() or log.read_text().count("\n") < step):
        time.sleep(0.005)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL, "it ended before it was killed"
    trained(config)
    assert curve_of(tmp_path / "run") == curve_of(whole)


class SignalAt(Silent):
    def __init__(self, step: int, number: int) -> None:
        self._step, self._number = step, number

    def step(self, done: int) -> None:
        if done == self._step:
            os.kill(os.getpid(), self._number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint_to_go_on_from(tmp_path, model, episodes_plan, whole, number, code):
    config = tiny_config(model, episodes_plan, tmp_path / "run")
    summary = trained(config, SignalAt(3, number))
    assert (summary.step, summary.signal, summary.exit_code) == (3, number, code)
    summary = trained(config)
    assert (summary.step, summary.exit_code) == (summary.steps, 0)
    assert curve_of(tmp_path / "run") == curve_of(whole)


def test_a_finished_run_has_nothing_left_to_do(tmp_path, model, episodes_plan, whole):
    before = (whole / "metrics.jsonl").read_bytes()
    summary = trained(tiny_config(model, episodes_plan, whole))
    assert summary.step == summary.steps
    assert (whole / "metrics.jsonl").read_bytes() == before


def test_other_settings_do_not_go_on_with_a_run(model, episodes_plan, whole):
    with pytest.raises(ConfigError, match=r"optimizer.lr was"):
        trained(tiny_config(model, episodes_plan, whole, optimizer={"lr": 1e-4}))


def test_validation_measures_and_disturbs_nothing(tmp_path, model, episodes_plan, whole):
    validation = {"plan": episodes_plan.folder.uri, "every": 3, "samples": 8}
    trained(tiny_config(model, episodes_plan, tmp_path / "run", validation=validation))
    assert curve_of(tmp_path / "run") == curve_of(whole)
    measured = curve_of(tmp_path / "run", "validation")
    last = max(curve_of(whole))
    assert set(measured) == {*range(3, last + 1, 3), last}
    assert measured[last] < measured[3]


def test_more_steps_than_epochs_go_on_with_further_epochs(tmp_path, model, episodes_plan, whole):
    steps = max(curve_of(whole)) + 3
    summary = trained(tiny_config(model, episodes_plan, tmp_path / "run", steps=steps))
    assert summary.step == steps
    assert list(curve_of(tmp_path / "run").values())[: steps - 4] == list(curve_of(whole).values())[: steps - 4]


def test_a_step_without_a_finite_loss_is_skipped_and_kept(tmp_path, model, episodes_plan, monkeypatch):
    spoiled, step = train.loop.token_losses, Loop._step

    def at_step_2(loop, batches):
        bad = loop.step == 2
        monkeypatch.setattr(train.loop, "token_losses", (lambda *a: spoiled(*a) * torch.nan) if bad else spoiled)
        before = [parameter.clone() for parameter in loop.run.trained]
        step(loop, batches)
        same = all(torch.equal(old, new) for old, new in zip(before, loop.run.trained, strict=True))
        assert same == bad

    monkeypatch.setattr(Loop, "_step", at_step_2)
    summary = trained(tiny_config(model, episodes_plan, tmp_path / "run"))
    assert summary.skipped == 1
    assert os.listdir(tmp_path / "run" / "bad")
    rows = rows_of(tmp_path / "run")
    assert rows[2]["loss"] is None
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_three_bad_steps_in_a_row_end_the_run(tmp_path, model, episodes_plan, monkeypatch):
    spoiled = train.loop.token_losses
    monkeypatch.setattr(train.loop, "token_losses", lambda *a: spoiled(*a) * torch.inf)
    with pytest.raises(QualityError, match="bad"):
        trained(tiny_config(model, episodes_plan, tmp_path / "run"))
    assert len(os.listdir(tmp_path / "run" / "bad")) == 3


def test_the_best_checkpoint_is_judged_by_a_validation_of_its_own_weights(tmp_path, model, episodes_plan):
    validation = {"plan": episodes_plan.folder.uri, "every": 3, "samples": 8}
    checkpoint = {"every": 4, "keep": 100, "best": "validation.loss"}
    trained(tiny_config(model, episodes_plan, tmp_path / "run", validation=validation, checkpoint=checkpoint))
    measured = curve_of(tmp_path / "run", "validation")
    manifests = {}
    for place in (tmp_path / "run" / "checkpoints").glob("step-*"):
        manifests[int(place.name.removeprefix("step-"))] = json.loads((place / "checkpoint.json").read_text())["figures"]
    assert set(manifests) == {*measured, *range(4, max(measured) + 1, 4)}
    assert {step: figures["validation.loss"] for step, figures in manifests.items() if step >= 3} == {
        step: measured.get(step) for step in manifests if step >= 3
    }


def test_tokens_that_were_learned_from_are_counted_up_to_the_last_step(tmp_path, model, episodes_plan, whole):
    told = [row["tokens"] for row in rows_of(whole)]
    config = tiny_config(model, episodes_plan, tmp_path / "run", log={"every": 4})
    assert trained(config, SignalAt(6, signal.SIGTERM)).tokens == sum(told[:6])
    assert trained(config).tokens == sum(told)


def test_a_signal_while_samples_are_measured_ends_the_run_before_it_begins(tmp_path, model, monkeypatch):
    @contextmanager
    def at_once():
        asked = Asked()
        asked(signal.SIGTERM, None)
        yield asked

    monkeypatch.setattr(train.loop, "asked_to_stop", at_once)
    unmeasured = mixed_plan(Folder.of(tmp_path), samples=3)
    summary = trained(tiny_config(model, unmeasured, tmp_path / "run"))
    assert (summary.step, summary.signal, summary.exit_code) == (0, signal.SIGTERM, 0)
    assert not (tmp_path / "run").exists()
