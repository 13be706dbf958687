"""The spec of a mixture: one YAML file that says what a plan shall hold, checked before any work."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from curate.errors import ConfigError, InputError
from curate.mixture.curriculum import Curriculum
from curate.mixture.preset import load_preset, with_preset
from curate.mixture.quotas import Quota, asked_axes
from curate.settings import Settings, load

Unit = Literal["sample", "supervised_token", "image_token"]
ESTIMATE = "estimate"
PLACES = ("run", "shards", "instructions", "demonstrations")


class SourceSpec(Settings):
    """One source: exactly one of `run`, `shards`, `instructions` and `demonstrations`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What the source is called in the plan; a value of the axis `source`."""
    run: str = ""
    """A run with shards, or a plan with shards of its own."""
    shards: str = ""
    """A folder of shards or a published version; a path or an fsspec URL."""
    instructions: str = ""
    """A single-image instruction set as LLaVA's JSON; its pictures lie in `images`."""
    demonstrations: str = ""
    """A run of whose demonstrations each becomes a zero-shot sample with its own question."""
    images: str = ""
    """The picture folder of `instructions`; the JSON file's own folder by default."""
    licence: str = ""
    """SPDX name of the licence of `instructions`."""
    weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Relative share of the plan; a source without one keeps its natural share, tempered."""
    max_repeats: int | None = Field(default=None, ge=1, le=1_000_000)
    """How often a sample of this source may stand in the plan; none takes the spec's."""
    replay: bool = False
    """Whether this source is replay: earlier training data mixed in against forgetting."""

    @model_validator(mode="after")
    def _one_place(self) -> "SourceSpec":
        given = [kind for kind in PLACES if getattr(self, kind)]
        if len(given) != 1:
            raise ValueError(f"source {self.name!r} needs exactly one of {', '.join(PLACES)}, not {len(given)}")
        if (self.images or self.licence) and given != ["instructions"]:
            raise ValueError(f"source {self.name!r}: images and licence go with instructions only")
        return self

    @property
    def prepared(self) -> bool:
        """Whether shards must be made of it first."""
        return bool(self.instructions or self.demonstrations)


class MixSpec(Settings):
    """Everything that `curate mix` can be told."""

    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    """What the plan draws from."""
    seed: int = 0
    """Another seed draws other samples in another order, to the same shares."""
    size: Literal["max"] | float = "max"
    """Length of the plan in `unit`; max = the largest that keeps the mix within tolerance under the caps."""
    unit: Unit = "sample"
    """What shares are shares of, and sizes counts of."""
    tolerance: float = Field(default=0.5, gt=0, le=100)
    """Points by which a share may be off."""
    max_repeats: int = Field(default=1, ge=1, le=1_000_000)
    """How often a sample may stand in the plan."""
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Natural shares p ~ n^(1/T) of sources without weight and of `natural` quotas."""
    replay: Literal["full"] | float | None = None
    """Share (0..1) of the plan from replay sources; full = every replay sample exactly once; none = no demand."""
    preset: str = ""
    """Named quotas that the spec's own are laid over."""
    quotas: tuple[Quota, ...] = ()
    """Demands on the axes, all at once."""
    bands: int = Field(default=3, ge=2, le=9)
    """Quantiles into which coherence and hardness are cut."""
    tokens: str = ESTIMATE
    """How tokens are counted: `estimate`, or with a model's processor (its folder or hub id)."""
    order: Literal["curriculum", "flat"] = "curriculum"
    """flat = the control: exactly the same samples in one block."""
    curriculum: Curriculum = Curriculum()
    """How the mix changes from the plan's beginning to its end."""
    catalogue: str = ""
    """Folder of the scanned sources, which several plans may share; PLAN/catalogue by default."""

    @field_validator("size")
    @classmethod
    def _positive(cls, size: Literal["max"] | float) -> Literal["max"] | float:
        if size != "max" and not 0 < float(size) < float("inf"):
            raise ValueError("must be max or a number above 0")
        return size

    @field_validator("replay")
    @classmethod
    def _share(cls, replay: Literal["full"] | float | None) -> Literal["full"] | float | None:
        if replay is not None and replay != "full" and not 0 <= float(replay) <= 1:
            raise ValueError("must be a share from 0 to 1, full, or null")
        return replay

    @field_validator("sources")
    @classmethod
    def _distinct(cls, sources: tuple[SourceSpec, ...]) -> tuple[SourceSpec, ...]:
        twice = [name for name, number in Counter(source.name for source in sources).items() if number > 1]
        if twice:
            raise ValueError(f"two sources are called {twice[0]!r}")
        return sources

    @property
    def wanted_size(self) -> float | None:
        """The size in units; None for the largest."""
        return None if self.size == "max" else float(self.size)

    @property
    def scheduled_axes(self) -> set[str]:
        """Axes that schedules speak of."""
        return {axis for schedule in self.curriculum.schedules for axis in (schedule.axis, *schedule.within)}

    def with_preset(self) -> "MixSpec":
        """The spec with the preset's quotas under its own, and the preset's replay where it names none."""
        if not self.preset:
            return self
        preset = load_preset(self.preset)
        replay = self.replay if "replay" in self.model_fields_set else preset.replay
        return self.model_copy(update={"quotas": tuple(with_preset(preset.quotas, self.quotas)), "replay": replay})


def load_spec(path: Path, overrides: Iterable[str] = ()) -> MixSpec:
    """The spec in a YAML file with `key=value` overrides; ConfigError names what is wrong in it."""
    spec = load(MixSpec, path, overrides)
    asked_axes(spec.with_preset().quotas, spec.scheduled_axes)
    return spec


def resolved(base: Path, place: str) -> str:
    """A place of the spec as seen from the working folder: relative paths are relative to the spec's folder."""
    return place if "://" in place or os.path.isabs(place) else os.path.normpath(base / place)


def processor_place(base: Path, spec: MixSpec) -> str:
    """Where the processor is: a folder beside the spec when there is one of that name, else the name itself."""
    beside = resolved(base, spec.tokens)
    return beside if os.path.isdir(beside) else spec.tokens


def plan_folder(out: str) -> str:
    """The folder of a plan, checked: ConfigError for none, InputError when a file is in the way."""
    if not out:
        raise ConfigError("a plan needs a folder; say where with --out PLAN")
    if "://" not in out:
        for place in (Path(out), *Path(out).parents):
            if place.exists() and not place.is_dir():
                raise InputError(f"{place} is a file; give --out the name of a folder")
    return out
