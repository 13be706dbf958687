"""What an experiment can be told: one YAML file, all settings with a docstring."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from curate.errors import ConfigError
from curate.registry import nearest
from curate.settings import Settings, build, read_yaml, with_overrides
from pipelines.jobs.layers import Layer, laid_over

Figure = Literal[
    "average_gain", "best_gain", "unseen_gain", "skill_change", "over_knn", "siblings_over_knn",
    "shuffled_over_chance", "swapped_over_chance", "intervals_apart",
]  # fmt: skip
"""What the summary states in points: see summary.figures."""


class ModelSettings(Settings):
    """The untrained model (`curate assemble`)."""

    vision: str = "embedded"
    """The tower."""
    lm: str = "embedded"
    """The language model."""
    grid: int = Field(default=4, gt=0)
    """Side of the square of tokens that a picture becomes."""
    pairs: list[str] = Field(default=[])
    """Data runs whose named pictures teach the projector where words lie, before any training."""
    seed: int = 0
    """Of the projector's weights."""


class PlanSettings(Settings):
    """One plan (`curate mix`)."""

    spec: str = ""
    """Stem of the file under mix/; the plan's own name by default."""
    set: Layer = Field(default={})
    """Settings laid over the file, such as order: flat."""
    materialise: bool = False
    """Give the plan shards of its own, so that another plan may draw from it."""
    fit: str = ""
    """The stage whose steps one pass over the plan shall last; otherwise the file's size holds."""
    size_of: str = ""
    """The plan that it is as long as."""

    @model_validator(mode="after")
    def _one_size(self) -> "PlanSettings":
        if self.fit and self.size_of:
            raise ValueError("a plan is fitted to a stage or as long as another plan, not both")
        return self


class StageSettings(Settings):
    """One training, for each seed."""

    title: str = ""
    """What it is called in tables."""
    model: str
    """The stage that it starts from, or `model` for the assembled one."""
    plan: str
    """What it is trained on."""
    once: bool = False
    """Train it with the first seed alone; all seeds go on from that."""
    config: Layer = Field(default={})
    """Settings of `curate train` laid over the experiment's `train`."""


class BenchesSettings(Settings):
    """One spec of benchmarks (`curate bench build`)."""

    spec: str
    """Stem of the file beside the experiment's."""
    names: tuple[str, ...] = Field(min_length=1)
    """Its benchmarks."""
    set: Layer = Field(default={})
    """Settings laid over the file."""
    data: tuple[str, ...] = Field(min_length=1)
    """Runs and plans that must be there first."""


class EvaluationSettings(Settings):
    """What some models are asked (`curate evaluate`)."""

    stages: tuple[str, ...] = Field(min_length=1)
    """Whose models: stages, or `model`."""
    benches: tuple[str, ...] = Field(min_length=1)
    """Groups of `benches`, or single ones of their benchmarks."""
    shots: tuple[int, ...] = (
        0,
        1,
        2,
    )
    """Numbers of shots, as far as the benchmarks have them."""
    conditions: tuple[str, ...] = (
        "full",
        "none",
    )
    """full, none, text, shuffled, swapped."""
    limit: int | None = Field(default=None, gt=0)
    """Groups of each benchmark at most."""
    settings: Layer = Field(default={})
    """Settings of the reader and of the evaluation, such as batch_tokens: 4096."""


class GoalSettings(Settings):
    """What one figure of the summary has to reach."""

    figure: Figure
    """Its name, as in summary.py."""
    at_least: float | None = None
    """Lower bound, in points."""
    at_most: float | None = None
    """Upper bound, in points."""
    why: str = ""
    """Whose bound it is, such as the paper's."""


class ClaimSettings(Settings):
    """What is compared with what."""

    tuned: str
    """The stage whose gain is the headline."""
    references: tuple[str, ...] = Field(min_length=1)
    """Stages that did not learn from demonstrations; each benchmark counts against the best of them there."""
    benches: tuple[str, ...] = Field(min_length=1)
    """Held-out benchmarks, over which the mean is taken."""
    unseen: tuple[str, ...] = ()
    """Those of a picture domain that no training shows."""
    shots: tuple[int, ...] = (
        1,
        2,
    )
    """The score of a benchmark is its mean over these numbers of shots."""
    skill: tuple[str, ...] = ()
    """Benchmarks of single-image skill, measured without demonstrations."""
    siblings: tuple[str, ...] = ()
    """Benchmarks on which nearest neighbours are to be beaten."""
    goals: tuple[GoalSettings, ...] = ()
    """What was promised of which figure before the runs."""


class AssumedSettings(Settings):
    """Paces for the estimate of hours, until this machine has measured its own."""

    job_seconds: float = 8
    """What a command takes to start."""
    pictures_per_second: float = 30
    """How fast pictures are embedded."""
    pictures: int = 12_000
    """Pictures of all runs."""
    step_seconds: float = 3.5
    """A step of training on one thread."""
    asks_per_second: float = 10
    """Questions that a model answers on one thread."""
    groups: int = 60
    """Questions of a benchmark that is not built yet."""
    arrangements: int = 4
    """Items of a question."""


class Experiment(Settings):
    """All of it."""

    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    """Each trains every stage anew: adapters, and the order in which samples come."""
    jobs: int = Field(default=2, gt=0)
    """Commands that run side by side; each has its share of the cores."""
    samples: tuple[str, ...] = ()
    """Sample sets that are fetched."""
    data: tuple[str, ...] = Field(min_length=1)
    """Runs (`curate build-episodes`), files under data/."""
    sources: dict[str, Layer] = Field(default={})
    """Name of a source -> import settings laid over the files under data/, for a small rehearsal."""
    like: dict[str, str] = Field(default={})
    """Run -> the run whose file under data/ it has, where it has none of its own."""
    over: dict[str, Layer] = Field(default={})
    """Run -> settings laid over its file."""
    until: dict[str, str] = Field(default={})
    """Run -> the room it stops after, where it needs no episodes."""
    unrelated: dict[str, str] = Field(default={})
    """Run -> the run whose episodes it holds with demonstrations exchanged among episodes."""
    model: ModelSettings = ModelSettings()
    """What everything starts from."""
    plans: dict[str, PlanSettings] = Field(min_length=1)
    """Plans by name, each after those it refers to."""
    train: Layer = Field(default={})
    """Settings of `curate train` that all stages share."""
    stages: dict[str, StageSettings] = Field(min_length=1)
    """Trainings by name, each after those it starts from."""
    benches: dict[str, BenchesSettings] = Field(min_length=1)
    """Groups of benchmarks."""
    evaluate: dict[str, EvaluationSettings] = Field(min_length=1)
    """Evaluations by name."""
    claim: ClaimSettings
    """What the summary says."""
    assumed: AssumedSettings = AssumedSettings()
    """Paces before any was measured."""

    @model_validator(mode="after")
    def _names_are_known(self) -> "Experiment":
        runs = [*self.data, *self.unrelated]
        for name, plan in self.plans.items():
            _known(f"plans.{name}.fit", [plan.fit] if plan.fit else [], self.stages)
            _known(f"plans.{name}.size_of", [plan.size_of] if plan.size_of else [], before(self.plans, name))
        for name, stage in self.stages.items():
            _known(f"stages.{name}.model", [stage.model], ["model", *before(self.stages, name)])
            _known(f"stages.{name}.plan", [stage.plan], self.plans)
        for name, group in self.benches.items():
            _known(f"benches.{name}.data", group.data, [*runs, *self.plans])
        for name, asked in self.evaluate.items():
            _known(f"evaluate.{name}.stages", asked.stages, ["model", *self.stages])
            _known(f"evaluate.{name}.benches", asked.benches, [*self.benches, *self.group_of])
        self._claim_is_measured()
        _known("model.pairs", self.model.pairs, self.data)
        _known("unrelated", self.unrelated.values(), self.data)
        _known("until", self.until, self.data)
        _known("over", self.over, self.data)
        return self

    def _claim_is_measured(self) -> None:
        claim, built = self.claim, [name for group in self.benches.values() for name in group.names]
        _known("claim", [claim.tuned, *claim.references], self.stages)
        _known("claim", [*claim.benches, *claim.skill], built)
        _known("claim", [*claim.unseen, *claim.siblings], claim.benches)

    @property
    def group_of(self) -> dict[str, str]:
        """Benchmark -> its group."""
        return {bench: name for name, group in self.benches.items() for bench in group.names}

    def asked(self, evaluation: str) -> list[str]:
        """The benchmarks of an evaluation."""
        named = ((name, self.benches.get(name)) for name in self.evaluate[evaluation].benches)
        return [bench for name, group in named for bench in (group.names if group else [name])]

    def seeds_of(self, stage: str) -> tuple[int, ...]:
        """The seeds that a stage is trained with; `model` has the first alone."""
        return self.seeds[:1] if stage == "model" or self.stages[stage].once else self.seeds


def before(named: Mapping[str, object], name: str) -> list[str]:
    """The names that stand before another."""
    names = list(named)
    return names[: names.index(name)]


def _known(where: str, names: Any, known: Any) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where} names {name!r}, which is not there{nearest(name, list(known))}")


def load_experiment(recipe: Path, overlays: list[Path], overrides: list[str]) -> Experiment:
    """The experiment in a YAML file with others laid over it and `key=value` on top; ConfigError says what is wrong."""
    data: Layer = read_yaml(recipe)
    for overlay in overlays:
        data = laid_over(data, read_yaml(overlay))
    return build(Experiment, with_overrides(data, overrides), str(recipe))


def require_file(path: Path, what: str) -> Path:
    """The path, where a file lies; ConfigError otherwise."""
    if not path.is_file():
        raise ConfigError(f"{what}: {path} is not there")
    return path
