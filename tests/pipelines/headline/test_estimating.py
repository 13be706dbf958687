"""Hours: what is done takes none, what was measured counts, and places are filled as the runner fills them."""

import json
from pathlib import Path

import pytest

from pipelines.headline.estimating import Estimate, Estimator, finish_of
from pipelines.headline.plan import Planner
from pipelines.headline.settings import Experiment, load_experiment
from pipelines.jobs.job import Job
from pipelines.jobs.ledger import Ledger
from pipelines.jobs.paces import step_seconds, steps_done

RECIPE = Path(__file__).parents[3] / "recipes" / "headline"


@pytest.fixture
def experiment() -> Experiment:
    return load_experiment(RECIPE / "headline.yaml", [], ["assumed.step_seconds=2", "assumed.job_seconds=1"])


def one(name: str, seconds: float, *needs: str, done: bool = False) -> Estimate:
    return Estimate(Job(name, "plan", ("x",), needs), done, 0.0 if done else seconds, "")


@pytest.mark.parametrize(("at_once", "expected"), [(1, 11.0), (2, 7.0), (3, 4.0)])
def test_jobs_wait_for_their_needs_and_for_a_place(at_once: int, expected: float) -> None:
    assert finish_of([one("a", 2), one("b", 3), one("c", 2, "a"), one("d", 4)], at_once) == expected


def test_what_is_done_takes_no_time() -> None:
    assert finish_of([one("a", 5, done=True), one("b", 3, "a")], 1) == 3
    assert finish_of([one("a", 5, done=True)], 1) == 0


def estimates(experiment: Experiment, out: Path, pace: float | None = None) -> dict[str, Estimate]:
    return {
        each.job.name: each
        for each in Estimator(experiment, out, lambda _config: pace).all(Planner(experiment, RECIPE).jobs())
    }


def test_before_anything_ran_paces_are_assumed_or_measured_now(experiment: Experiment, tmp_path: Path) -> None:
    steps = experiment.stages["coherent"].config["steps"]
    assumed = estimates(experiment, tmp_path)["train/coherent-0"]
    assert (assumed.seconds, assumed.by) == (steps * 2 + 1, "assumed")
    measured = estimates(experiment, tmp_path, 3.0)["train/coherent-1"]
    assert measured.seconds == steps * 3 + 1
    assert "measured now" in measured.by


def log(out: Path, run: str, *paces: float) -> None:
    (out / "runs" / run).mkdir(parents=True)
    rows = [{"step": number, "kind": "train", "step_s": pace} for number, pace in enumerate(paces, 1)]
    (out / "runs" / run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_run_goes_by_its_own_steps_and_another_seed_by_those(experiment: Experiment, tmp_path: Path) -> None:
    steps = experiment.stages["coherent"].config["steps"]
    log(tmp_path, "coherent-0", 9.0, 5.0, 5.0)
    assert step_seconds(tmp_path / "runs/coherent-0") == 5.0
    assert steps_done(tmp_path / "runs/coherent-0") == 3
    found = estimates(experiment, tmp_path)
    assert found["train/coherent-0"].seconds == (steps - 3) * 5 + 1
    assert found["train/coherent-2"].seconds == steps * 5 + 1


def test_an_evaluation_goes_by_that_of_another_model(experiment: Experiment, tmp_path: Path) -> None:
    jobs = Planner(experiment, RECIPE).jobs()
    done = next(job for job in jobs if job.name == "evaluate/main/baseline-0")
    Ledger.of(tmp_path, jobs).note(done, 77.0)
    found = estimates(experiment, tmp_path)
    assert found[done.name].done
    assert found["evaluate/main/coherent-2"].seconds == 77
    assert found["evaluate/skill/coherent-2"].by == "assumed"


def test_questions_are_counted_in_the_benchmark_where_it_is_built(experiment: Experiment, tmp_path: Path) -> None:
    before = estimates(experiment, tmp_path)["evaluate/skill/flat-0"].seconds
    (tmp_path / "benches/emoji-names").mkdir(parents=True)
    counts = {"0": {"items": 4000, "groups": 1000}}
    (tmp_path / "benches/emoji-names/bench.json").write_text(json.dumps({"counts": counts}))
    after = estimates(experiment, tmp_path)["evaluate/skill/flat-0"].seconds
    rate = experiment.assumed.asks_per_second
    assert after == 1 + 4000 * experiment.evaluate["skill"].limit / 1000 / rate
    assert before != after


def test_trainings_of_one_shape_are_measured_once(experiment: Experiment, tmp_path: Path) -> None:
    measured: list[str] = []

    def measure(config: dict[str, str]) -> float:
        measured.append(config["out"])
        return 3.0

    found = Estimator(experiment, tmp_path, measure).all(Planner(experiment, RECIPE).jobs())
    assert {one.by for one in found if one.job.kind == "train"} == {"4 steps measured now"}
    assert measured == ["runs/baseline-0", "runs/more-single-0"]  # which has more rows a step
