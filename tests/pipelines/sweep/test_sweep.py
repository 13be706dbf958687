"""A whole sweep on the smallest real thing: designed, run, killed, gone on with, halved; and what its trials share."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curate.errors import ConfigError, QualityError
from curate.settings import build
from pipelines.cli import app
from pipelines.jobs.job import Job
from pipelines.jobs.processes import Ended
from pipelines.sweep import trial as trials
from pipelines.sweep.cost import Pace
from pipelines.sweep.design import Design, read_design, write_design
from pipelines.sweep.designing import Designer, with_trials
from pipelines.sweep.pool import Pool
from pipelines.sweep.results import read_result, read_results
from pipelines.sweep.running import SweepRunner
from pipelines.sweep.setting import Setting
from pipelines.sweep.settings import SweepSpec, load_sweep
from pipelines.sweep.space import Point
from pipelines.sweep.status import is_done, read_status
from tests.pipelines.sweep.fake_engine import FakeEngine
from tests.pipelines.sweep.small_sweep import write_place, write_sweep
from tests.train.tiny_runs import curve_of
from train.data import lengths

PACE = Pace(0.2, 500.0, 0.05, 5.0, 0.5, 0.8, 12, 0.2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> Path:
    return write_place(tmp_path_factory.mktemp("place"), picture)


def designed(place: Path, at: Path, **more: Any) -> Path:
    """A sweep that was designed in AT/out, its pace not measured."""
    spec, out = write_sweep(place, at, **more), at / "out"
    write_design(out, Designer(load_sweep(spec), spec.parent, out, measure=lambda _pool, _trial: PACE).design())
    return out


class Here(FakeEngine):
    """Runs trials in this very process, which has loaded torch already."""

    def _end(self, job: Job) -> Ended:
        before = Path.cwd()
        os.chdir(self.out)
        try:
            code = trials.main(job.argv[1:])
        finally:
            os.chdir(before)
        log = self.out / "logs" / f"{job.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"error: {code}\n")
        return Ended(job, code, 1.0)


def run_here(out: Path) -> tuple[dict[str, int], Here]:
    design, engine = read_design(out), Here(out)
    return SweepRunner(out, design, build(SweepSpec, design.spec), engine, lambda _line: None).run(), engine


def killed_in_the_middle(out: Path) -> str:
    """`curate sweep run`, killed while its first trial trains; that trial."""
    words = [sys.executable, "-m", "pipelines.cli", "sweep", "run", str(out)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 900
    while time.monotonic() < until and not list(out.glob("trials/*/run/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (log,) = out.glob("trials/*/run/metrics.jsonl")
    return log.parts[-3]


def test_a_sweep_killed_in_the_middle_goes_on_and_measures_nothing_twice(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = designed(place, tmp_path / "a")
    began = killed_in_the_middle(out)
    monkeypatch.setattr(lengths, "_measure_parts", None)  # calling it would fail: the design has measured every sample
    counts, engine = run_here(out)
    design = read_design(out)
    assert counts == {"done": 5, "stopped_early": 0, "failed": 0, "running": 0, "waiting": 0}
    assert set(engine.starts.values()) == {1}
    assert began in engine.starts
    for trial in design.trials:
        assert sorted(curve_of(out / "trials" / trial.id / "run")) == [1, 2, 3, 4]  # no step twice, none lost
        assert read_status(out, trial.id).state == "done"
    monkeypatch.undo()
    other = designed(place, tmp_path / "b")
    assert [trial.id for trial in read_design(other).trials] == [trial.id for trial in design.trials]
    monkeypatch.chdir(other)
    assert trials.main([began]) == 0
    assert read_result(other, began)["targets"] == read_result(out, began)["targets"]
    again, engine = run_here(out)
    assert (again, sum(engine.starts.values())) == (counts, 0)
    _look_at_results(out, design)


def _look_at_results(out: Path, design: Design) -> None:
    seen = read_results(out)
    assert len(seen) == 5
    assert set(seen.targets) == {"loss/web", "loss/art", "accuracy/tiny/0", "accuracy/tiny/1", "gain/tiny/1"}
    gains = seen.targets["accuracy/tiny/1"] - seen.targets["accuracy/tiny/0"]
    assert seen.targets["gain/tiny/1"] == pytest.approx(gains)
    assert design.space.allows(seen.rows).all()
    asked = [trial.point.shares["source"]["art"] for trial in seen.trials]
    assert seen.rows[:, 0] == pytest.approx(asked, abs=0.15)
    assert len(set(seen.mixes)) == 3
    assert "/" not in json.dumps([design.spec["mixes"], design.cost])
    assert str(out.parents[2]) not in json.dumps([design.setting, design.cost])


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'shotcraft[ray]'")
def test_ray_gives_what_this_process_gives(place: Path, tmp_path: Path) -> None:
    import ray

    out, other = designed(place, tmp_path / "ray"), designed(place, tmp_path / "here")
    try:
        ran = CliRunner().invoke(app, ["sweep", "run", str(out), "--engine", "ray", "--jobs", "2", "--json"])
    finally:
        ray.shutdown()
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["done"] == 5
    run_here(other)
    for trial in read_design(other).trials:
        found, expected = (read_result(folder, trial.id)["targets"] for folder in (out, other))
        assert {name: one["value"] for name, one in found.items()} == pytest.approx(
            {name: one["value"] for name, one in expected.items()}, abs=1e-6
        )


def test_halving_stops_trials_and_failures_are_reported_and_mended(place: Path, tmp_path: Path) -> None:
    out = designed(place, tmp_path / "a", halving={"rungs": [2]}, keep=False)
    spoilt = read_design(out).trials[1].id
    (out / "trials" / spoilt).mkdir(parents=True, exist_ok=True)
    (out / "trials" / spoilt / "run").write_text("in the way")
    with pytest.raises(QualityError, match=rf"1 of 5 trials failed \({spoilt}\), 3 are done, 1 stopped early") as told:
        run_here(out)
    assert told.value.exit_code == 3
    status = read_status(out, spoilt)
    assert (status.state, status.attempts) == ("failed", 2)
    (stopped,) = [trial.id for trial in read_design(out).trials if read_status(out, trial.id).state == "stopped_early"]
    result = read_result(out, stopped)
    assert (result["targets"], result["steps"], result["rungs"][0]["steps"]) == ({}, 2, 2)
    assert sorted(curve_of(out / "trials" / stopped / "run")) == [1, 2]
    (out / "trials" / spoilt / "run").unlink()
    counts, _ = run_here(out)
    assert (counts["done"], counts["stopped_early"]) == (4, 1)
    assert sorted(curve_of(out / "trials" / spoilt / "run")) == [1, 2, 3, 4]
    assert (len(read_results(out)), len(read_results(out, rung=0))) == (4, 5)
    assert not (out / "trials" / spoilt / "run" / "checkpoints").exists()


def test_the_command_measures_costs_before_anything_runs(place: Path, tmp_path: Path) -> None:
    spec = write_sweep(place, tmp_path / "a")
    words = ["sweep", "design", str(spec), "--out", str(tmp_path / "out"), "-j", "1"]
    told = CliRunner().invoke(app, [*words, "--dry-run", "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    cost = found["cost"]
    assert not (tmp_path / "out").exists()
    assert (cost["runs"], cost["mixes"], cost["steps"], cost["pace"]["items"]) == (5, 3, 4, 12)
    assert cost["seconds"] > 5 * 4 * cost["pace"]["step_seconds"]
    assert cost["tokens"] == pytest.approx(5 * 4 * cost["pace"]["step_tokens"], rel=0.01)
    assert cost["most_repeats"] == {"web": 0.75, "art": 1.0, "old": pytest.approx(4 / 12, abs=1e-3)}
    assert [row["kinds"] for row in found["trials"]][:3] == [["prior"]] * 3
    assert [row["seed"] for row in found["trials"]][:3] == [0, 1, 2]


def test_a_budget_leaves_trials_out_and_says_so(place: Path, tmp_path: Path) -> None:
    out = designed(place, tmp_path / "a", budget="55s")
    design = read_design(out)
    assert len(design.trials) == 4
    assert design.cost["seconds"] <= 55
    (left,) = design.cost["left_out"]
    assert (left["kinds"], left["why"]) == (["centroid"], "over the budget of 55s")
    with pytest.raises(ConfigError, match="does not hold the 4 trials"):
        designed(place, tmp_path / "b", budget="30s")


def test_data_that_changed_are_told_before_a_trial_runs(place: Path, tmp_path: Path) -> None:
    design = read_design(designed(place, tmp_path / "a"))
    changed = {**design.setting, "data": {**design.setting["data"], "held_out": "another"}}
    with pytest.raises(ConfigError, match="held_out changed since"):
        Pool(tmp_path / "a/out", Setting.of(changed)).check()


def test_trials_can_be_added_to_a_sweep(place: Path, tmp_path: Path) -> None:
    out = designed(place, tmp_path / "a")
    before = read_design(out)
    point = Point({"source": {"art": 0.6, "web": 0.4}}, {})
    after = with_trials(out, [point, before.trials[0].point], "proposed", [0, 7])
    assert len(after.trials) == len(before.trials) + 3
    assert after.trials[0].kinds == ("prior", "proposed")
    assert {trial.seed for trial in after.trials if "proposed" in trial.kinds} == {0, 7}
    assert not any(is_done(out, trial.id) for trial in after.trials)


def test_trials_side_by_side_take_turns_at_the_sources(place: Path, tmp_path: Path) -> None:
    out = designed(place, tmp_path / "a")
    design = read_design(out)
    pool = Pool(out, Setting.of(design.setting))
    with ThreadPoolExecutor(5) as threads:
        plans = list(threads.map(pool.trial_plan, design.trials))
    assert [len(plan) for plan in plans] == [16] * 5
    assert len({plan.digest for plan in plans}) == 5  # three seeds of the prior, and two mixes


def test_choices_change_what_a_trial_runs_with(place: Path, tmp_path: Path) -> None:
    choices = {"order": {"curriculum": {}, "flat": {"mix": {"order": "flat"}, "train": {"optimizer": {"lr": 1.0e-4}}}}}
    mixes = {"source": {}, "replay": {"high": {True: 0.5}}, "format": {"prior": {"caption": 1, "open_qa": 3}}}
    out = designed(place, tmp_path / "a", choices=choices, mixes=mixes, design={"kinds": [{"kind": "one-at-a-time"}]})
    design = read_design(out)
    setting = Setting.of(design.setting)
    (flat,) = [trial for trial in design.trials if trial.point.choices["order"] == "flat"]
    spec = setting.spec_of(flat.point)
    assert (spec.order, spec.replay, setting.config_of("x", flat.point)["optimizer"]["lr"]) == ("flat", 0.25, 1e-4)
    (quota,) = spec.quotas
    assert (quota.within, {name: one.share for name, one in quota.shares.items()}) == (
        {"replay": "no"}, {"caption": 0.25, "open_qa": 0.75},
    )  # fmt: skip
    weights = {one.name: one.weight for one in spec.sources}
    assert weights == {"web": 0.75, "art": 0.25, "old": None}
    assert design.space.columns[-2:] == ("order=curriculum", "order=flat")
