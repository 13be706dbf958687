"""What `curate bench build` can be told: a spec of several benchmarks, and what they must share nothing with."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from curate.episodes.settings import GuardSettings, Shots, Ways
from curate.errors import ConfigError
from curate.settings import Settings, build, read_yaml, with_overrides

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]{0,99}$")]
Distractors = Literal["random", "sibling", "nearest"]


class Decontamination(Settings):
    """What benchmarks must share nothing with."""

    against: list[str] = Field(default=[])
    """Training runs and plans; relative paths begin at the spec's folder."""
    perceptual_bits: int | None = Field(default=4, ge=0, le=63)
    """No picture within this many of 64 perceptual-hash bits of a training picture; null compares bytes alone."""
    cosine: float | None = Field(default=None, gt=0.0, le=1.0)
    """No picture whose vector has a larger cosine with a training picture's; needs runs embedded by the same encoder."""
    concepts: bool | Literal["broader"] = True
    """No demonstration whose most specific concept is the most specific one of a training demonstration, singular or
    plural; `broader`: of no training concept at any level."""
    documents: bool = True
    """No demonstration of a document that training has one of."""


class BenchSettings(Settings):
    """What every kind of benchmark is told; kinds add their own."""

    name: Name
    """Folder and name of the benchmark."""
    kind: str
    """One of the registered kinds: choice, naming, caption, question, ..."""
    domain: str = ""
    """Where its pictures come from, in words, such as "emoji, unseen style"."""
    title: str = ""
    """What it asks, in a line; each kind has one of its own."""
    version: str = "1"
    """The maker's version: a frozen benchmark is not replaced by another under the same version."""
    demonstrations: str
    """The run whose demonstrations it is made of."""
    sources: list[str] = Field(default=[])
    """Sources that queries come from; all where empty."""
    support: list[str] = Field(default=[])
    """Sources that demonstrations come from; all where empty."""
    shots: list[Shots] = Field(default=[0, 1, 2, 4])
    """Numbers of demonstrations, of each class where there are classes."""
    queries: int = Field(default=60, ge=1)
    """Queries at most, the same ones at every number of shots."""
    guard: GuardSettings = Field(default_factory=GuardSettings)
    """Which demonstrations may not stand with a query or with one another."""

    @field_validator("shots")
    @classmethod
    def _distinct(cls, shots: list[int]) -> list[int]:
        if not shots:
            raise ValueError("give at least one number of shots")
        return sorted(set(shots))


class ClassBenchSettings(BenchSettings):
    """Benchmarks with N classes, of which the query's is one."""

    ways: Ways = 2
    """Classes a question chooses between."""
    distractors: Distractors = "random"
    """The other classes: any; of the same broader concept; or those with the most alike pictures."""
    level: int = Field(default=0, ge=0, le=8)
    """Which of a demonstration's concepts is its class: 0 the most specific, 1 the next, ..."""
    only: list[str] = Field(default=[])
    """Patterns such as "*bird*" of the classes to take; all where empty."""
    without: list[str] = Field(default=[])
    """Patterns of the classes to leave out, such as "uppercase"."""


class BenchesSpec(Settings):
    """A spec file."""

    seed: int = 0
    """Seed of everything random."""
    benchmarks: list[dict[str, Any]] = Field(min_length=1)
    """One mapping a benchmark; what it may hold depends on its `kind`."""
    decontaminate: Decontamination = Field(default_factory=Decontamination)
    """Holds for all benchmarks of the spec."""


def load_spec(path: Path, overrides: list[str]) -> tuple[BenchesSpec, list[BenchSettings]]:
    """A checked spec and its benchmarks' settings; ConfigError with the fault and where it is."""
    from curate.benchmarks.kinds import KINDS

    spec = build(BenchesSpec, with_overrides(read_yaml(path), overrides), str(path))
    benches = []
    for at, entry in enumerate(spec.benchmarks):
        where = f"{path}, benchmarks.{at}"
        if not isinstance(entry.get("kind"), str):
            raise ConfigError(f"{where}: kind is missing; one of {', '.join(KINDS)}")
        benches.append(build(KINDS.get(entry["kind"]).settings, entry, where))
    names = [bench.name for bench in benches]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path}: two benchmarks are called {next(n for n in names if names.count(n) > 1)}")
    return spec, benches
