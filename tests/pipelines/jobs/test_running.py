"""Jobs: behind their needs, side by side, once, gone on with; what was started is ended."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.jobs.job import Job
from pipelines.jobs.ledger import Ledger, ended
from pipelines.jobs.paces import clock
from pipelines.jobs.processes import Interrupted
from pipelines.jobs.running import JobError, Runner

WORK = """
import json, os, pathlib, signal, sys, time
name, seconds, *more = sys.argv[1:]
def told(what):
    with open("told.txt", "a") as log: log.write(f"{what} {name}\\n")
def stop(*_):
    told("stopped"); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
told("begins")
time.sleep(float(seconds))
if "fail" in more: print("reading...\\nerror: no such thing"); sys.exit(2)
told("ends")
for place in more:
    pathlib.Path(place).mkdir(parents=True, exist_ok=True)
    (pathlib.Path(place) / "summary.json").write_text(json.dumps({"step": 2, "steps": 2}))
"""


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "work_of_a_test.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))


def job(name: str, *needs: str, seconds: float = 0.0, more: tuple[str, ...] = ()) -> Job:
    return Job(name, "plan", ("work_of_a_test", name, str(seconds), *more), needs)


def run(out: Path, jobs: list[Job], at_once: int = 2) -> list[str]:
    said: list[str] = []
    out.mkdir(exist_ok=True)
    Runner(out, jobs, at_once, 1, said.append).run()
    return said


def told(out: Path) -> list[str]:
    return (out / "told.txt").read_text().splitlines()


def test_a_job_begins_when_its_needs_are_done(tmp_path: Path) -> None:
    run(tmp_path / "out", [job("a", seconds=0.1), job("b", "a"), job("c", "a", "b")])
    assert told(tmp_path / "out") == ["begins a", "ends a", "begins b", "ends b", "begins c", "ends c"]


@pytest.mark.parametrize(("at_once", "expected"), [(2, {"begins"}), (1, {"begins", "ends"})])
def test_as_many_run_side_by_side_as_may(tmp_path: Path, at_once: int, expected: set[str]) -> None:
    run(tmp_path / "out", [job("a", seconds=0.8), job("b", seconds=0.8)], at_once)
    assert {line.split()[0] for line in told(tmp_path / "out")[:2]} == expected


def test_two_that_write_to_one_place_take_turns(tmp_path: Path) -> None:
    run(tmp_path / "out", [replace(job(name, seconds=0.3), alone_in="catalogue") for name in "ab"])
    assert told(tmp_path / "out") == ["begins a", "ends a", "begins b", "ends b"]


def test_what_is_done_is_not_done_again_unless_it_changed(tmp_path: Path) -> None:
    out, jobs = tmp_path / "out", [job("a"), job("b", "a"), job("c")]
    run(out, jobs)
    (out / "told.txt").write_text("")
    assert run(out, jobs)[0] == "3 of 3 jobs are done already"
    run(out, [replace(jobs[0], files={"spec.yaml": "size: 2\n"}), *jobs[1:]])
    assert told(out) == ["begins a", "ends a", "begins b", "ends b"]
    assert (out / "spec.yaml").read_text() == "size: 2\n"


def test_a_failure_lets_others_end_and_is_told_with_its_log(tmp_path: Path) -> None:
    out = tmp_path / "out"
    jobs = [job("bad", more=("fail",)), job("other", seconds=0.5), job("later", "other")]
    with pytest.raises(JobError, match=r"bad ended with 2: error: no such thing .*bad\.log"):
        run(out, jobs)
    assert "ends other" in told(out)
    assert "begins later" not in told(out)
    assert Ledger.of(out, jobs).is_done(jobs[1])


def test_a_signal_ends_what_runs_and_it_is_gone_on_with(tmp_path: Path) -> None:
    out, jobs = tmp_path / "out", [job("a"), job("long", "a", seconds=30)]

    def stop() -> None:
        until = time.monotonic() + 20
        while not (out / "told.txt").exists() or "begins long" not in told(out):
            assert time.monotonic() < until
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Interrupted):
        run(out, jobs)
    thread.join()
    assert told(out)[-1] == "stopped long"
    short = [jobs[0], replace(jobs[1], argv=("work_of_a_test", "long", "0"))]
    assert run(out, short)[0] == "1 of 2 jobs are done already"


def test_a_training_that_a_signal_ended_is_not_done(tmp_path: Path) -> None:
    training = replace(job("train/a-0", more=("runs/a-0",)), run="runs/a-0")
    assert not ended(tmp_path, training)
    run(tmp_path / "out", [training])
    assert ended(tmp_path / "out", training)
    (tmp_path / "out/runs/a-0/summary.json").write_text('{"step": 1, "steps": 2}')
    assert not ended(tmp_path / "out", training)


def test_a_damaged_note_is_no_note(tmp_path: Path) -> None:
    out, one = tmp_path / "out", job("a")
    run(out, [one])
    (out / "done" / "a.json").write_text("[")
    assert not Ledger.of(out, [one]).is_done(one)


@pytest.mark.parametrize(("seconds", "shown"), [(7, "7 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_times_are_told_shortly(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
