"""Engines: a device for each trial, Ray's tasks as processes of their own, and what is missing said in one line."""

import os
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.errors import ConfigError, MissingToolError
from pipelines.jobs.job import Job
from pipelines.sweep import engines
from pipelines.sweep.engines import Engine, Local, OnRay, devices, engine_of

WORK = """
import os, sys, time
name, seconds, code = sys.argv[1:]
with open("told.txt", "a") as log:
    log.write(f"{name} {os.environ.get('CUDA_VISIBLE_DEVICES', '')} {os.environ['OMP_NUM_THREADS']}\\n")
time.sleep(float(seconds))
sys.exit(int(code))
"""


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "work_of_a_trial.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))


def job(name: str, seconds: float = 0.0, code: int = 0) -> Job:
    return Job(f"trials/{name}", "trial", ("work_of_a_trial", name, str(seconds), str(code)))


def finished(engine: Engine) -> dict[str, int]:
    found: dict[str, int] = {}
    until = time.monotonic() + 60
    while engine.busy and time.monotonic() < until:
        found |= {one.job.name: one.code for one in engine.ended()}
        time.sleep(0.05)
    return found


def told(out: Path) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in (out / "told.txt").read_text().splitlines())


def test_trials_side_by_side_have_a_gpu_each(tmp_path: Path) -> None:
    engine = Local(tmp_path, 3, ("0", "1"))
    for name in "abc":
        assert engine.room
        engine.start(job(name, 0.5))
    assert not engine.room
    assert set(finished(engine).values()) == {0}
    on = [line.split()[0] for line in told(tmp_path).values()]
    assert sorted(on) == ["0", "0", "1"]
    engine.start(job("d"))
    engine.start(job("e"))
    finished(engine)
    assert {told(tmp_path)[name].split()[0] for name in "de"} == {"0", "1"}


def test_without_a_gpu_nothing_is_said_of_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(engines.shutil, "which", lambda _name: None)
    assert devices() == ()
    engine = engine_of("local", tmp_path, None)
    engine.start(job("a", code=3))
    assert not engine.room  # one at a time
    assert finished(engine) == {"trials/a": 3}


@pytest.mark.parametrize(("value", "expected"), [("0,2", ("0", "2")), ("", ()), ("-1", ())])
def test_the_visible_devices_count(value: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert devices() == expected


def test_an_unknown_engine_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="local, ray"):
        engine_of("spark", tmp_path, None)


def test_a_missing_ray_is_one_line_that_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingToolError, match=r"pip install 'shotcraft\[ray\]'"):
        engine_of("ray", tmp_path, None)


class StandIn(types.ModuleType):
    """Ray's few calls that the engine makes, in threads."""

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        super().__init__("ray")
        self.pool, self.options = ThreadPoolExecutor(4), {}

    def init(self, **_options: Any) -> None:
        pass

    def remote(self, **options: Any) -> Any:
        self.options = options
        return lambda task: types.SimpleNamespace(remote=lambda *given: self.pool.submit(task, *given))

    def wait(self, refs: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        from concurrent.futures import wait

        done, left = wait(refs, timeout)
        return list(done), list(left)

    def get(self, ref: Any) -> Any:
        return ref.result()

    def cancel(self, ref: Any) -> None:
        ref.cancel()


@pytest.fixture(scope="module")
def real_ray() -> Iterator[types.ModuleType]:
    """Ray itself, where it is installed; started by the first engine."""
    module = pytest.importorskip("ray", reason="Ray is an extra")
    yield module
    module.shutdown()


@pytest.fixture(params=["stand-in", "ray"])
def ray(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "stand-in":
        monkeypatch.setitem(sys.modules, "ray", StandIn())
    else:
        request.getfixturevalue("real_ray")
    return str(request.param)


def test_ray_runs_trials_as_tasks_and_gives_their_exit_codes(ray: str, tmp_path: Path) -> None:
    engine = engine_of("ray", tmp_path, 2)
    engine.start(job("a"))
    engine.start(job("b", code=3))
    assert not engine.room
    assert finished(engine) == {"trials/a": 0, "trials/b": 3}
    assert set(told(tmp_path)) == {"a", "b"}
    assert (tmp_path / "logs/trials/a.log").exists()


def test_stopping_ray_ends_its_processes(ray: str, tmp_path: Path) -> None:
    engine = engine_of("ray", tmp_path, None)
    assert isinstance(engine, OnRay)
    engine.start(job("a", 20 if ray == "ray" else 0.5))
    until = time.monotonic() + 40
    while not (tmp_path / "told.txt").exists() and time.monotonic() < until:
        time.sleep(0.05)
    began = time.monotonic()
    engine.stop()
    assert not engine.busy
    assert time.monotonic() - began < 15


def test_a_task_that_ray_lost_is_a_failure_with_a_line_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", StandIn())
    engine = engine_of("ray", tmp_path, None)

    def lost(*_given: object) -> int:
        raise RuntimeError("the node died")

    engine._task = types.SimpleNamespace(remote=lambda *given: sys.modules["ray"].pool.submit(lost, *given))
    engine.start(job("a"))
    assert finished(engine) == {"trials/a": 1}
    assert "the node died" in (tmp_path / "logs/trials/a.log").read_text()


def test_threads_are_shared_among_those_side_by_side(tmp_path: Path) -> None:
    from pipelines.jobs.processes import cores

    engine = Local(tmp_path, 2 * cores())
    engine.start(job("a"))
    finished(engine)
    assert told(tmp_path)["a"].split()[-1] == "1"
    assert os.environ.get("OMP_NUM_THREADS") != "0"
