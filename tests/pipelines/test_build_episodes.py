"""The main job end to end: what comes out is whole, the same on any number of workers, and survives kill -9."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curate.engine import StageManifest
from curate.layout import Run
from curate.shards import verify
from curate.storage import TEMPORARY
from tests.pipelines.small_source import CLASSES, PER_CLASS, write_source

NOT_COMPARED = (".lock", "timings.jsonl")


def curate(*arguments: object, check: bool = True) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def contents(run: Path) -> dict[str, bytes]:
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in NOT_COMPARED]
    left = [path for path in files if path.name.startswith(TEMPORARY) and run / "images" in path.parents]  # read by nobody
    files = [path for path in files if path not in left]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def built(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "whole"
    told = json.loads(curate("build-episodes", config, "--out", out, "--workers", 1, "--json").stdout)
    assert [stage["stage"] for stage in told["stages"]][-1] == "shards"
    return out


def test_every_record_is_accounted_for(built: Path) -> None:
    run = Run.at(built)
    assert len(list(run.documents())) == 3 * len(CLASSES)
    demonstrations = list(run.demonstrations())
    assert len(demonstrations) == 2 * PER_CLASS * len(CLASSES) + 3 * len(CLASSES)
    episodes = StageManifest.load(run.episodes)
    assert episodes.counts["in"] == len(demonstrations)
    assert episodes.counts["out"] + episodes.counts["dropped"] + episodes.counts["rejected"] == episodes.counts["in"]
    assert StageManifest.load(run.shards).counts["out"] == episodes.counts["out"] > 0


def test_shards_are_sound_the_report_is_there_and_the_linter_passed(built: Path) -> None:
    assert verify(built / "shards") == []
    assert (built / "report.html").stat().st_size > 10_000
    assert json.loads((built / "episodes/lint.json").read_text())["passed"] is True


def test_a_second_run_changes_nothing_and_redoes_nothing(built: Path, config: Path) -> None:
    before, timings = contents(built), (built / "embeddings/timings.jsonl").read_bytes()
    curate("build-episodes", config, "--out", built, "--workers", 1)
    assert contents(built) == before
    assert (built / "embeddings/timings.jsonl").read_bytes() == timings


def test_four_workers_give_the_bytes_of_one(built: Path, config: Path, tmp_path: Path) -> None:
    curate("build-episodes", config, "--out", tmp_path / "four", "--workers", 4)
    assert contents(tmp_path / "four") == contents(built)


def test_killed_at_random_and_run_again_gives_the_bytes_of_an_uninterrupted_run(
    built: Path, config: Path, tmp_path: Path
) -> None:
    out, dice = tmp_path / "killed", random.Random(os.environ.get("KILL_SEED", "7"))
    command = [sys.executable, "-m", "pipelines.cli", "build-episodes", str(config), "--out", str(out), "--workers", "2"]
    for _ in range(4):
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(1.0, 9.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    curate(*command[3:])
    assert contents(out) == contents(built)


@pytest.mark.parametrize(("workers", "after"), [(2, 1.0), (1, 0.1)])
def test_ctrl_c_is_one_line_and_exit_130(config: Path, tmp_path: Path, workers: int, after: float) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "build-episodes", str(config), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        [*command, "--workers", str(workers)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a suite in the background ignores
    )
    until = time.monotonic() + 60
    while process.poll() is None and not (tmp_path / "run").exists() and time.monotonic() < until:
        time.sleep(0.02)  # imports take as long as the machine lets them
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert told.splitlines()[-1].startswith("interrupted; run the same command again")
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("episodes.partitions=3", 2, "unknown key 'episodes.partitions' (did you mean 'partition'?)"),
        ("embed.encoder=oflin", 2, "offline"),
        ("sources=[{name: x, kind: captoins, path: .}]", 2, "did you mean 'captions'?"),
        ("sources=[{name: x, kind: captions, path: nowhere}]", 2, "nowhere does not exist"),
        ("sources=[]", 2, "no sources are given"),
    ],
)
def test_a_wrong_configuration_is_one_line_before_any_work(
    config: Path, tmp_path: Path, override: str, code: int, message: str
) -> None:
    done = curate("build-episodes", config, "--out", tmp_path / "none", "--dry-run", "--set", override, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert message in done.stderr
    assert not (tmp_path / "none").exists()


def test_too_many_unreadable_records_exit_3_and_keep_the_good_ones(tmp_path: Path) -> None:
    config = write_source(tmp_path)
    for path in sorted((tmp_path / "stamps/red_circle").glob("*.png")):
        path.write_bytes(path.read_bytes()[:100])
    run = Run.at(tmp_path / "run")
    done = curate("build-episodes", config, "--out", run.root.uri, "--until", "sources", "--max-rejected", "0.05", check=False)
    assert done.returncode == 3
    assert "over --max-rejected 0.05" in done.stderr
    captions = StageManifest.load(run.root / "demonstrations/captions")
    assert captions.counts == {"in": 54, "out": 45, "dropped": 0, "rejected": 9}
