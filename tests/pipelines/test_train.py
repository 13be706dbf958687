"""`curate train` and `python -m train`: one program, one line for every mistake, an exit code for every end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from curate.errors import ShotcraftError
from curate.storage import Folder
from pipelines.cli import app
from tests.train.tiny_episodes import mixed_plan
from tests.train.tiny_processors import tiny_processor
from tests.train.tiny_runs import curve_of, laid_over, save_tiny_model, tiny_config
from train.__main__ import main as program


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("vicuna"), "vicuna", tiny_processor("vicuna"))


@pytest.fixture(scope="module")
def episodes_plan(tmp_path_factory):
    return mixed_plan(Folder.of(tmp_path_factory.mktemp("episodes")))


def written(at: Path, place: Path, plan: Any, /, **more: Any) -> Path:
    """A config file for a run in AT/run."""
    plain = tiny_config(place, plan, at / "run").plain()
    path = at / "stage.yaml"
    path.write_text(yaml.safe_dump(laid_over(plain, more)))
    return path


def curate(*arguments: object) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_run_is_answered_as_json_and_a_second_one_finds_it_done(tmp_path, model, episodes_plan):
    config = written(tmp_path, model, episodes_plan)
    first, second = (json.loads(curate("train", config, "--json", "--set", "steps=3").stdout) for _ in range(2))
    assert (first["step"], first["steps"], first["signal"]) == (3, 3, 0)
    assert first["figures"]["loss"] == second["figures"]["loss"] == curve_of(tmp_path / "run")[3]


WRONG = [
    ({"optimizer": {"learning_rate": 1}}, "learning_rate"),
    ({"data": {"plan": "nowhere"}}, "nowhere"),
    ({"model": "./nowhere"}, "nowhere"),
    ({"parts": [{"match": "visoin", "train": "full"}]}, "vision"),
    ({"data": {"render": {"max_tokens": 8}}}, "too_long"),
    ({"compute": {"device": "cuda"}}, "GPU"),
    ({"compute": {"attention": "flex_attention"}}, "GPU"),
    ({"parallel": {"replicas": 3}}, "replicas"),
    ({"validation": {"plan": "gone"}}, "gone"),
]


@pytest.mark.parametrize(("wrong", "told"), WRONG)
def test_a_mistake_is_one_error_that_names_it_and_leaves_nothing(tmp_path, model, episodes_plan, wrong, told):
    result = curate("train", written(tmp_path, model, episodes_plan, **wrong))
    assert isinstance(result.exception, ShotcraftError), result.exception
    assert result.exception.exit_code == 2
    assert re.search(told, str(result.exception)), result.exception
    assert not (tmp_path / "run").exists()


def module(config: Path, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-m", "train", str(config), *more], stderr=subprocess.PIPE, text=True)


def test_a_wrong_setting_fails_in_less_than_five_seconds(tmp_path, model, episodes_plan):
    config, began = written(tmp_path, model, episodes_plan, stage="pretrain"), time.monotonic()
    process = module(config)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(told.splitlines()) == 1
    assert "stage" in told
    assert time.monotonic() - began < 5


def test_the_program_of_ranks_has_the_dry_run_and_the_json_of_the_command(tmp_path, model, episodes_plan, capfd, monkeypatch):
    config = written(tmp_path, model, episodes_plan)
    arguments = [str(config), "--set", "steps=2"]
    assert program([*arguments, "--dry-run"]) == 0
    lines = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in capfd.readouterr().out.splitlines())
    assert lines["steps"] == "2"
    assert {"parameters", "vision", "checkpoint copy", "counted by"} <= set(lines)
    assert program([*arguments, "--dry-run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["steps"] == 2
    monkeypatch.setenv("RANK", "1")
    assert program([*arguments, "--dry-run"]) == 0
    assert capfd.readouterr().out == ""
    monkeypatch.delenv("RANK")
    assert not (tmp_path / "run").exists()
    assert program([*arguments, "--json"]) == 0
    summary = json.loads(capfd.readouterr().out)
    assert (summary["step"], summary["figures"]["loss"]) == (2, curve_of(tmp_path / "run")[2])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_program_with_a_checkpoint(tmp_path, model, episodes_plan, number, code):
    config = written(tmp_path, model, episodes_plan, steps=100_000)
    process, log = module(config), tmp_path / "run" / "metrics.jsonl"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and log.stat().st_size):
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    (checkpoint,) = [name for name in os.listdir(tmp_path / "run" / "checkpoints") if name.startswith("step-")]
    assert int(checkpoint.removeprefix("step-")) == max(curve_of(tmp_path / "run"))


def test_torchrun_starts_the_same_program_on_two_ranks(tmp_path, model, episodes_plan):
    config = written(tmp_path, model, episodes_plan, steps=3, parallel={"timeout": 60})
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run([*torchrun, "-m", "train", str(config)], check=True, timeout=200, stderr=subprocess.DEVNULL)
    assert curate("train", config, "--set", f"out={tmp_path / 'alone'}").exit_code == 0
    two, one = curve_of(tmp_path / "run"), curve_of(tmp_path / "alone")
    assert list(two.values()) == pytest.approx(list(one.values()), rel=1e-5)
