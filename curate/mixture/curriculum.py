"""The curriculum: fixed draws laid out over blocks, so that shares change over the plan as the schedules say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from curate.mixture.cells import Cells, Floats, Ints
from curate.mixture.quotas import value_name
from curate.settings import Settings

Kind = Literal["step", "linear", "cosine"]


class Schedule(Settings):
    """How the shares of one axis change from the plan's beginning (progress 0) to its end (progress 1)."""

    axis: str
    kind: Kind = "linear"
    path: tuple[str, ...] = ()
    """Values in the order in which they come; the width of each follows its share of the draws."""
    points: dict[float, dict[str, float]] = Field(default={})
    """progress 0..1 -> weights of the values there; between the points step, linear or cosine."""

    @field_validator("path", mode="before")
    @classmethod
    def _path(cls, path: Any) -> Any:
        return [value_name(value) for value in path] if isinstance(path, list | tuple) else path

    @field_validator("points", mode="before")
    @classmethod
    def _points(cls, points: Any) -> Any:
        if not isinstance(points, Mapping):
            return points
        return {at: _named(shares) for at, shares in points.items()}

    @model_validator(mode="after")
    def _one_way(self) -> "Schedule":
        if bool(self.path) == bool(self.points):
            raise ValueError(f"the schedule of {self.axis!r} needs either path or points")
        return self


def _named(shares: Any) -> Any:
    return {value_name(value): share for value, share in shares.items()} if isinstance(shares, Mapping) else shares


class Curriculum(Settings):
    """Schedules over as many blocks as it takes to follow them."""

    blocks: int | Literal["auto"] = Field(default="auto")
    """Number of blocks; auto = one for 512 draws, at least 1 and at most 64."""
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True)
class Track:
    """One scheduled axis over the blocks. Shares are 0..1 of the units of a block."""

    axis: str
    values: list[str]  # [V]
    target: Floats  # [B, V] what the schedule asks of the draws at hand
    realised: Floats  # [B, V]


@dataclass(frozen=True)
class Arrangement:
    """The draws of every cell over the blocks."""

    counts: Ints  # [B, C]; sums over blocks are the draws
    ends: Ints  # [B] where each block ends, in draws
    tracks: list[Track]  # one a schedule
    worst: float  # largest |realised - target| over all tracks, in points


def averages(schedules: Sequence[Schedule]) -> dict[str, dict[str, float]]:
    """axis -> time-averaged shares of the schedules given by points: what the plan as a whole must hold."""
    raise NotImplementedError


def arrange(cells: Cells, draws: Ints, curriculum: Curriculum | None) -> Arrangement:
    """`draws` [C] over blocks as `curriculum` asks; None is the flat control: the same draws in one block."""
    raise NotImplementedError
