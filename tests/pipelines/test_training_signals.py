"""A signal to all processes of a run ends it as one to the run does, and no process is left behind, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.shards.plans import Plan
from curate.storage import Folder
from tests.train.tiny_episodes import mixed_plan
from tests.train.tiny_processors import tiny_processor
from tests.train.tiny_runs import curve_of, laid_over, save_tiny_model, tiny_config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("vicuna"), "vicuna", tiny_processor("vicuna"))


@pytest.fixture(scope="module")
def episodes_plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return mixed_plan(Folder.of(tmp_path_factory.mktemp("episodes")))


def members(group: int) -> list[int]:
    """Processes of a group that are alive."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, owner = (folder / "stat").read_text().rpartition(") ")[2].split()[:3]
            if int(owner) == group and state != "Z":
                found.append(int(folder.name))
    return found


def eventually(true: Callable[[], Any], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@contextmanager
def running(at: Path, model: Path, plan: Plan) -> "Iterator[subprocess.Popen[str]]":
    """A run in a group of its own that has made steps, with one worker."""
    plain = tiny_config(model, plan, at / "run").model_dump(mode="json")
    (at / "stage.yaml").write_text(yaml.safe_dump(laid_over(plain, {"steps": 100_000, "data": {"load": {"workers": 1}}})))
    command = [sys.executable, "-m", "train", str(at / "stage.yaml")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    log = at / "run" / "metrics.jsonl"
    try:
        eventually(lambda: process.poll() is not None or (log.exists() and log.stat().st_size))
        assert len(members(process.pid)) == 2
        yield process
    finally:
        for left in members(process.pid):
            os.kill(left, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_to_all_its_processes_ends_a_run_with_a_checkpoint(
    tmp_path: Path, model: Path, episodes_plan: Plan, number: signal.Signals, code: int
) -> None:
    with running(tmp_path, model, episodes_plan) as process:
        os.killpg(process.pid, number)
        _, told = process.communicate(timeout=60)
        assert process.returncode == code, told
        assert "Traceback" not in told
        assert members(process.pid) == []
    (checkpoint,) = [name for name in os.listdir(tmp_path / "run" / "checkpoints") if name.startswith("step-")]
    assert int(checkpoint.removeprefix("step-")) == max(curve_of(tmp_path / "run"))


def test_a_killed_run_leaves_no_worker(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    with running(tmp_path, model, episodes_plan) as process:
        process.kill()
        process.wait()
        eventually(lambda: not members(process.pid), seconds=10)
