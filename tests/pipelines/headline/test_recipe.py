"""The headline's recipe: what is promised of its data, its arms and its benchmarks holds by construction."""

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from curate.benchmarks.settings import load_spec as load_benches
from curate.demonstrations import IMPORTERS
from curate.mixture.settings import MixSpec
from curate.settings import build, load
from curate.sources import catalogue
from pipelines.chain import ChainSettings
from pipelines.headline.plan import Planner
from pipelines.headline.settings import Experiment, load_experiment
from pipelines.jobs.job import Job
from train.config import TrainConfig

RECIPE = Path(__file__).parents[3] / "recipes" / "headline"
AIM = RECIPE.parent / "aim"
OVERLAYS = {
    "whole": [], "small": [RECIPE / "small.yaml"], "aim": [AIM / "aim.yaml"], "ablations": [AIM / "ablations.yaml"],
}  # fmt: skip
TRAINED = {"emoji", "clipart"}
ARMS = ("coherent", "no-replay", "unrelated", "flat", "more-single")


@pytest.fixture(params=OVERLAYS)
def experiment(request: pytest.FixtureRequest) -> Experiment:
    return load_experiment(RECIPE / "headline.yaml", OVERLAYS[request.param], [])


@pytest.fixture
def jobs(experiment: Experiment) -> dict[str, Job]:
    return {job.name: job for job in Planner(experiment, RECIPE).jobs()}


def spec_of(job: Job, start: str) -> dict[str, object]:
    return next(yaml.safe_load(text) for name, text in job.files.items() if name.startswith(start))


def test_every_job_stands_behind_what_it_needs(jobs: dict[str, Job]) -> None:
    names = list(jobs)
    assert all(names.index(need) < at for at, job in enumerate(jobs.values()) for need in job.needs)


def test_the_projector_is_taught_by_training_pictures_alone(jobs: dict[str, Job]) -> None:
    argv = jobs["model"].argv
    taught = {argv[at + 1].removeprefix("data/") for at, word in enumerate(argv) if word == "--pairs"}
    assert taught
    assert taught <= TRAINED
    assert {f"data/{name}" for name in taught} <= set(jobs["model"].needs)


def test_data_are_known_samples_with_settings_that_hold(jobs: dict[str, Job]) -> None:
    for job in (job for job in jobs.values() if job.kind == "data" and job.files):
        settings = build(ChainSettings, spec_of(job, "specs/data"))
        for source in settings.sources:
            build(IMPORTERS.get(source.kind).Settings, source.settings, source.name)
            assert source.path.removeprefix("sample:") in catalogue()


def test_no_training_sees_stamps_or_the_held_out_style(jobs: dict[str, Job]) -> None:
    for run in TRAINED:
        sources = build(ChainSettings, spec_of(jobs[f"data/{run}"], "specs/data")).sources
        assert all(source.settings["holdout"]["take"] == "rest" for source in sources)
        assert not {"sample:fluent-emoji-3d", "sample:tuxpaint-stamps-default"} & {source.path for source in sources}


@pytest.mark.parametrize(("run", "half"), [("emoji-dev", "first"), ("emoji-test", "second")])
def test_recipes_are_chosen_and_reported_on_other_concepts(run: str, half: str) -> None:
    splits = [source.settings["holdout"] for source in load(ChainSettings, RECIPE / "data" / f"{run}.yaml").sources]
    assert all(split == {"share": 0.2, "seed": 0, "take": "held", "half": half} for split in splits)


def test_plans_draw_from_training_runs_alone(experiment: Experiment, jobs: dict[str, Job]) -> None:
    known = TRAINED | {f"{run}-unrelated" for run in TRAINED} | {run for run, of in experiment.like.items() if of in TRAINED}
    for name in {stage.plan for stage in experiment.stages.values()}:
        spec = build(MixSpec, spec_of(jobs[f"plans/{name}"], "specs/mix"))
        places = {(source.run or source.demonstrations).removeprefix("../../") for source in spec.sources}
        assert places <= {*(f"data/{run}" for run in known), "plans/single"}
    assert set(experiment.unrelated.values()) == TRAINED


def test_baselines_are_trained_on_single_pictures(experiment: Experiment, jobs: dict[str, Job]) -> None:
    for stage in experiment.claim.references:
        spec = build(MixSpec, spec_of(jobs[f"plans/{experiment.stages[stage].plan}"], "specs/mix"))
        shots = [quota.shares for quota in spec.quotas if quota.axis == "shots"]
        assert [list(shares) for shares in shots if not isinstance(shares, str)] == [["0"]]


def test_all_arms_have_equal_steps_rows_and_learning_rates(experiment: Experiment, jobs: dict[str, Job]) -> None:
    arms = [stage for stage, known in experiment.stages.items() if known.model == "baseline" and stage in ARMS]
    assert len(arms) == 5
    for seed in experiment.seeds:
        configs = [build(TrainConfig, spec_of(jobs[f"train/{arm}-{seed}"], "configs")) for arm in arms]
        for one, other in pairwise(configs):
            plain, twin = one.model_dump(exclude={"out", "data"}), other.model_dump(exclude={"out", "data"})
            assert plain == twin
            assert rows_of(one) == rows_of(other)
        assert {config.model for config in configs} == {f"runs/baseline-{seed}"}


def rows_of(config: TrainConfig) -> dict[str, object]:
    """How a training reads, but for what, and for rows a step: those of single pictures are more, as they show fewer."""
    return config.data.model_dump(exclude={"plan": True, "load": {"batch", "micro_batch"}})


def test_more_single_pictures_come_in_no_fewer_rows(experiment: Experiment, jobs: dict[str, Job]) -> None:
    rows = {arm: build(TrainConfig, spec_of(jobs[f"train/{arm}-0"], "configs")).data.load.batch for arm in ARMS}
    assert rows["more-single"] >= 1.42 * rows["coherent"]
    assert {rows[arm] for arm in ("no-replay", "unrelated", "flat")} == {rows["coherent"]}


def test_the_arms_without_curriculum_and_replay_differ_in_just_that(jobs: dict[str, Job]) -> None:
    own, flat, bare = (spec_of(jobs[f"plans/{name}"], "specs/mix") for name in ("icl", "icl-flat", "icl-no-replay"))
    assert {**own, "order": "flat"} == flat
    left = {**own, "sources": [source for source in own["sources"] if not source.get("replay")]}  # type: ignore[attr-defined]
    assert {key: value for key, value in left.items() if key != "replay"} == bare


@pytest.mark.parametrize("name", ["benches", "skill", "dev"])
def test_benchmarks_are_held_against_all_training_data(name: str) -> None:
    spec, benches = load_benches(RECIPE / f"{name}.yaml", [])
    experiment = load_experiment(RECIPE / "headline.yaml", [], [])
    group = next(group for group in experiment.benches.values() if group.spec == name)
    assert [bench.name for bench in benches] == list(group.names)
    assert spec.decontaminate.against == [f"../data/{run}" for run in sorted(TRAINED, reverse=True)]
    assert spec.decontaminate.concepts == (name != "skill")
    runs = {bench.demonstrations.removeprefix("../data/") for bench in benches}
    assert runs | TRAINED == set(group.data)
    assert not runs & TRAINED


def test_seeds_are_three_and_the_claim_has_five_benchmarks() -> None:
    experiment = load_experiment(RECIPE / "headline.yaml", [], [])
    assert len(experiment.seeds) >= 3
    assert len(experiment.claim.benches) >= 5
    assert len(experiment.claim.unseen) >= 2


def test_a_run_like_another_differs_in_what_is_laid_over_it() -> None:
    experiment = load_experiment(RECIPE / "headline.yaml", OVERLAYS["ablations"], [])
    jobs = {job.name: job for job in Planner(experiment, RECIPE).jobs()}
    spec, few = (spec_of(jobs[f"data/{name}"], "specs/data") for name in ("emoji", "emoji-few"))
    assert few.pop("episodes") == {**spec.pop("episodes"), "pseudowords": 48}  # type: ignore[dict-item]
    assert few == spec
