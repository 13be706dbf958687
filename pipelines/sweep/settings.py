"""What a sweep can be told: one YAML file, all settings with a docstring.

mix: mix.yaml
train: train.yaml
mixes: {source: {}}
benchmarks: {emoji: {place: benches/emoji, shots: [0, 2]}}
design: {kinds: [{kind: centroid}, {kind: dirichlet, runs: 12}]}
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from curate.errors import ConfigError
from curate.mixture.cells import check_axis
from curate.mixture.quotas import value_name
from curate.registry import nearest
from curate.settings import Settings, build, load
from pipelines.jobs.layers import Layer
from pipelines.sweep.designs.base import DESIGNS, Kind
from pipelines.sweep.designs.reading import kind_of

ONE_FOR_ALL = {
    "mix": ("sources", "catalogue", "size", "tokens", "preset", "seed"),
    "train": ("model", "out", "seed", "steps", "until", "validation"),
}
"""Settings of the mix and train files that no level may change."""


def _named(shares: Any) -> Any:
    return {value_name(name): share for name, share in shares.items()} if isinstance(shares, Mapping) else shares


Shares = Annotated[dict[str, float], BeforeValidator(_named)]
"""Component -> share; YAML reads 0 as a number and a bare yes as true."""


class AxisSettings(Settings):
    """A simplex: the shares of one axis of the mixture."""

    prior: Shares | Literal["base", "natural", "uniform"] = "base"
    """The mix one would take without a sweep, as relative weights; it also says which components there are.
    base: as the mix file has it."""
    low: Shares | float = 0.0
    """Smallest shares, of all or by component; of the part of the plan that the axis divides."""
    high: Shares | float = 1.0
    """Largest shares. A component that the data cannot fill further under max_repeats has a smaller one."""

    def bound(self, which: Literal["low", "high"], component: str) -> float:
        """The bound of one component."""
        told = self.low if which == "low" else self.high
        return told.get(component, float(which == "high")) if isinstance(told, dict) else told

    @model_validator(mode="after")
    def _bounds_are_shares(self) -> "AxisSettings":
        told = [share for side in (self.low, self.high) for share in (side.values() if isinstance(side, dict) else [side])]
        if not all(0 <= share <= 1 for share in told):
            raise ValueError("low and high are shares from 0 to 1")
        if isinstance(self.prior, dict) and (min(self.prior.values(), default=0) < 0 or not sum(self.prior.values()) > 0):
            raise ValueError("the prior's weights must be 0 or more, and not all 0")
        return self


class LevelSettings(Settings):
    """One way out of several: what it changes."""

    mix: Layer = Field(default={})
    """Settings laid over the mix file, such as order: flat. Sources stay as they are."""
    train: Layer = Field(default={})
    """Settings laid over the train file."""

    @field_validator("mix", "train")
    @classmethod
    def _one_for_all(cls, layer: Layer, info: ValidationInfo) -> Layer:
        kept = [key for key in ONE_FOR_ALL[str(info.field_name)] if key in layer]
        if kept:
            raise ValueError(f"{', '.join(kept)} must be one for all trials; change the {info.field_name} file instead")
        return layer


class BenchSettings(Settings):
    """What is asked of one benchmark. At 0 shots alone its accuracy is called skill/NAME."""

    place: str
    """Its folder, from the sweep's file."""
    shots: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    """Numbers of shots; with 0 among them there are gains."""
    limit: int | None = Field(default=None, gt=0)
    """Groups that are asked at most."""


class DesignSettings(Settings):
    """Which mixes are tried, besides the prior, the natural and the uniform one."""

    kinds: tuple[Layer, ...] = ({"kind": "centroid"}, {"kind": "dirichlet"})
    """Each with its `kind` (grid, lattice, centroid, dirichlet, leave-one-out, one-at-a-time), how many `runs` of it are
    wanted, and settings of its own."""
    seeds: int = Field(default=3, ge=3)
    """Runs of the prior with a seed each: what differs among them is noise."""
    runs: int | None = Field(default=None, gt=0)
    """Runs in all, at most; draws of `dirichlet` without a number of their own fill what is left. Without it: up to four for
    each share and level, and four more."""

    @property
    def designs(self) -> tuple[Kind, ...]:
        """The kinds, checked."""
        return tuple(kind_of(told) for told in self.kinds)

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[Layer, ...]) -> tuple[Layer, ...]:
        for told in kinds:
            if not isinstance(told.get("kind"), str):
                raise ValueError(f"each needs a kind: {', '.join(DESIGNS)}")
            kind_of(told)
        return kinds


class HalvingSettings(Settings):
    """Successive halving: all trials to the first rung, the best part of them to the next, and so on."""

    rungs: tuple[int, ...] = Field(min_length=1)
    """Steps at which trials are compared, rising; the last stage ends with the training's own steps."""
    eta: float = Field(default=2, gt=1)
    """One out of so many goes on. The runs of the prior always do: they measure the noise."""

    @field_validator("rungs")
    @classmethod
    def _rising(cls, rungs: tuple[int, ...]) -> tuple[int, ...]:
        if list(rungs) != sorted({*rungs}) or rungs[0] < 1:
            raise ValueError("give steps from few to many, as in [50, 100]")
        return rungs


class SweepSpec(Settings):
    """All of it. Places begin at the file's folder."""

    mix: str
    """The mix file (curate mix) that trials vary; its `size` must be a number."""
    train: str
    """The train file (curate train) of all trials; it must say `steps`, and may leave out model, out and data.plan. A
    held-out plan under `validation` gives losses by source."""
    model: str = ""
    """What every trial starts from, in place of the train file's."""
    benchmarks: dict[str, BenchSettings] = Field(default={})
    """What trials are asked when they are trained, by name."""
    reader: Layer = Field(default={})
    """How models are asked: settings of `curate evaluate --set`, such as dtype: bfloat16."""
    mixes: dict[str, AxisSettings] = Field(default={})
    """Axis -> shares that vary. `source` sets the weights of sources, `replay` the share of replay (yes, no), another axis
    takes the place of the quota on it, inside the part of the plan that the mix file's quota names."""
    choices: dict[str, Annotated[dict[str, LevelSettings], Field(min_length=2)]] = Field(default={})
    """Name -> level -> what it changes. The first level is the one taken without a sweep."""
    design: DesignSettings = DesignSettings()
    """Which trials."""
    seed: int = 0
    """Another seed draws other mixes, and trains with other seeds."""
    budget: str = ""
    """Hours of one trial after the other, as 4h or 90m, or tokens, as 20M tokens; trials that go over it are left out."""
    retries: int = Field(default=1, ge=0)
    """How often a trial that failed is begun again before it counts as failed."""
    halving: HalvingSettings | None = None
    """Stop trials early that do worse than others."""
    objective: dict[str, float] = Field(default={})
    """Target -> weight; the sum counts, and losses want a negative weight. Default: the mean of all gains, else of all
    accuracies, else minus the mean loss."""
    keep: bool = True
    """Keep the checkpoints of trials that are done."""
    fit: Layer = Field(default={})
    """How results are fitted (curate sweep fit)."""

    @field_validator("budget", mode="before")
    @classmethod
    def _is_an_amount(cls, budget: Any) -> str:
        told = "" if budget is None else str(budget)
        if told:
            budget_of(told)
        return told

    @field_validator("mixes")
    @classmethod
    def _axes_are_known(cls, mixes: dict[str, AxisSettings]) -> dict[str, AxisSettings]:
        for axis in mixes:
            check_axis(axis)
        return mixes

    @field_validator("fit")
    @classmethod
    def _fit_is_known(cls, fit: Layer) -> Layer:
        from pipelines.sweep.fitting import FitSettings  # loads scipy

        build(FitSettings, fit, "fit")
        return fit

    @model_validator(mode="after")
    def _something_varies_and_is_measured(self) -> "SweepSpec":
        if not self.mixes and not self.choices:
            raise ValueError("nothing varies: give mixes or choices")
        if known := [name for name in self.choices if name in self.mixes]:
            raise ValueError(f"{known[0]!r} is both a mix and a choice")
        return self


BUDGET = re.compile(r"\s*([0-9.]+(?:e[0-9]+)?)\s*(h|m|min|s|[kMGBT]?\s*tok(?:en)?s?)\s*")
SCALE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
SECONDS = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0}


def budget_of(told: str) -> tuple[Literal["seconds", "tokens"], float]:
    """4h -> (seconds, 14400); 20M tokens -> (tokens, 2e7). ConfigError for anything else."""
    found = BUDGET.fullmatch(told)
    try:
        amount = float(found[1]) if found else 0.0
    except ValueError:
        amount = 0.0
    if found is None or not amount > 0:
        raise ConfigError(f"a budget is hours or tokens, as in 4h, 90m or 20M tokens, not {told!r}")
    if found[2] in SECONDS:
        return "seconds", amount * SECONDS[found[2]]
    return "tokens", amount * SCALE[found[2].split("tok")[0].strip()]


def load_sweep(path: Path, overrides: Iterable[str] = ()) -> SweepSpec:
    """The sweep in a YAML file with `key=value` overrides; ConfigError says what is wrong in it."""
    return load(SweepSpec, path, overrides)


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that is not there."""
    names = list(known)
    return ConfigError(f"{what} names {name!r}, which is not there{nearest(name, names)}; known: {', '.join(names)}")
