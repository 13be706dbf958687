"""The curriculum: fixed draws laid out over blocks, so that shares change over the plan as the schedules say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt, field_validator, model_validator

from curate.errors import ConfigError
from curate.mixture.blocks import Target, dealt, fitted, whole_table
from curate.mixture.cells import Cells, Floats, Ints, Mask, sums_by
from curate.mixture.quotas import Named, value_name
from curate.mixture.schedules import Kind, path_over, points_over
from curate.registry import nearest
from curate.settings import Settings

DRAWS_PER_BLOCK, MOST_BLOCKS = 512, 64
"""What `blocks: auto` means."""
FAINT = 1e-3
"""Part of a mean sample that one without units counts for."""


class Schedule(Settings):
    """How the shares of one axis change from the plan's beginning (progress 0) to its end (progress 1)."""

    axis: str
    kind: Kind = "linear"
    path: tuple[str, ...] = ()
    """Values in the order in which they come; the width of each follows its share of the units."""
    points: dict[float, dict[str, NonNegativeFloat]] = Field(default={})
    """progress 0..1 -> weights of the values there; between the points step, linear or cosine."""
    within: Named = Field(default={})
    """axis -> value: the part of the plan that walks the path, at its own pace; the rest stays out of it."""

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
        if self.points and self.within:
            raise ValueError(f"the points of {self.axis!r} are shares of the whole plan; only a path can be within a part")
        if len(set(self.path)) < len(self.path):
            raise ValueError(f"the path of {self.axis!r} names a value twice")
        for at, shares in self.points.items():
            if not (0 <= at <= 1 and 0 < sum(shares.values()) < float("inf")):
                raise ValueError(f"point {at} of {self.axis!r}: progress runs from 0 to 1, and shares must not all be 0")
        return self


def _named(shares: Any) -> Any:
    if not isinstance(shares, Mapping):
        return shares
    return {value_name(value): share for value, share in shares.items()}


class Curriculum(Settings):
    """Schedules over as many blocks as it takes to follow them."""

    blocks: PositiveInt | Literal["auto"] = "auto"
    """Number of blocks; auto = one for 512 draws, at least 1 and at most 64."""
    schedules: tuple[Schedule, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> "Curriculum":
        axes = [schedule.axis for schedule in self.schedules]
        if len(set(axes)) < len(axes):
            raise ValueError("an axis has two schedules; keep one of them")
        return self


@dataclass(frozen=True)
class Track:
    """One scheduled axis over the blocks. Shares are 0..1 of the units of a block."""

    axis: str
    values: list[str]  # [V]
    target: Floats  # [B, V] what the schedule asks for
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
    means = {}
    for schedule in schedules:
        if schedule.points:
            values, shares = points_over(schedule.kind, schedule.points, np.array([0.0, 1.0]))
            means[schedule.axis] = dict(zip(values, shares[0].tolist(), strict=True))
    return means


def arrange(cells: Cells, draws: Ints, curriculum: Curriculum | None) -> Arrangement:
    """`draws` [C] over blocks as `curriculum` asks; None is the flat control: the same draws in one block.

    Blocks are equal in units, as nearly as whole draws can be: shares are shares of units, so their time average is the
    plan's share only if time is. Nothing is lost or added: counts sum to `draws`. ConfigError for an axis that the
    cells do not have, or a misspelt value on a path.
    """
    curriculum = curriculum or Curriculum(blocks=1)
    edges, amounts = _edges(int(draws.sum()), curriculum.blocks), _amounts(cells, draws)
    courses = _courses(cells, amounts, curriculum.schedules, edges)
    member, first = _kinds([course.codes for course in courses], len(cells))
    targets = [Target(course.codes[first], course.target) for course in courses]
    totals, held = sums_by(member, draws, len(first)), sums_by(member, amounts, len(first))
    sizes = np.diff(edges) * held.sum()
    real = fitted(held, sizes, targets)
    real *= (sizes / np.maximum(real.sum(axis=1), 1e-300))[:, None]
    real *= np.divide(totals, held, out=np.zeros_like(held), where=held > 0)  # from units to draws
    ends = _ends(real)
    table = whole_table(real, totals, np.diff(ends, prepend=0), [target.codes for target in targets])
    counts = dealt(draws, member, table)
    tracks = [course.track(counts * cells.units) for course in courses]
    worst = max((float(np.abs(track.realised - track.target).max(initial=0)) for track in tracks), default=0.0)
    return Arrangement(counts, ends, tracks, 100 * worst)


def _edges(total: int, blocks: int | Literal["auto"]) -> Floats:
    """[B+1] progress at which blocks begin and end: as equal as whole draws can be, none empty unless the plan is."""
    number = int(np.clip(total // DRAWS_PER_BLOCK, 1, MOST_BLOCKS)) if blocks == "auto" else min(blocks, max(total, 1))
    return (np.arange(number + 1, dtype=np.int64) * total // number) / max(total, 1)


def _amounts(cells: Cells, draws: Ints) -> Floats:
    """[C] units of the draws; a sample of no units counts a little, so that those too are spread over the blocks."""
    mean = float((draws * cells.units).sum()) / max(int(draws.sum()), 1)
    return np.maximum(cells.units, (mean or 1.0) * FAINT) * draws.astype(np.float64)


def _ends(real: Floats) -> Ints:
    """[B] where each block ends, in whole draws, from draws [B, K]; no block is empty unless the plan is."""
    reached = np.round(np.cumsum(real.sum(axis=1)) + 1e-6).astype(np.int64)
    least = np.minimum(np.arange(1, len(real) + 1), reached[-1])
    return np.clip(reached, least, reached[-1] - least[-1] + least)


def _kinds(codes: Sequence[Ints], cells: int) -> tuple[Ints, Ints]:
    """[C] kind of each cell, cells that no schedule tells apart being one kind; and a cell of each kind."""
    keys = np.stack([np.zeros(cells, dtype=np.int64), *codes])
    _, first, member = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return member.reshape(-1).astype(np.int64), first.astype(np.int64)


@dataclass(frozen=True)
class _Course:
    """One schedule on the draws at hand."""

    axis: str
    values: list[str]  # [V]
    codes: Ints  # [C] value of each cell, -1 outside the schedule's part
    target: Floats  # [B, V] shares of the units in the part

    def track(self, units: Floats) -> Track:
        """Target and realised shares, from units [B, C]; a block without any of the part is as its target."""
        inside = self.codes >= 0
        held = np.stack([sums_by(self.codes[inside], block[inside], len(self.values)) for block in units])
        realised = np.where(held.sum(axis=1, keepdims=True) > 0, _normal(held), self.target)
        return Track(self.axis, self.values, self.target, realised)


def _courses(cells: Cells, amounts: Floats, schedules: Sequence[Schedule], edges: Floats) -> list[_Course]:
    """Schedules of the whole plan go by its progress; those of a part by the part's, which the former decide."""
    courses = {s.axis: _course(cells, amounts, s, edges) for s in schedules if not s.within}
    outer = list(courses.values())
    for schedule in schedules:
        if schedule.within:
            inside = cells.inside(tuple(schedule.within.items()))
            pace = _pace(amounts, inside, outer, edges)
            courses[schedule.axis] = _course(cells, np.where(inside, amounts, 0), schedule, pace, inside)
    return [courses[schedule.axis] for schedule in schedules]


def _pace(amounts: Floats, inside: Mask, outer: Sequence[_Course], edges: Floats) -> Floats:
    """[B+1] how much of a part's units lie before each block edge, 0..1, when only the outer schedules act."""
    member, first = _kinds([*(course.codes for course in outer), inside.astype(np.int64)], len(amounts))
    targets = [Target(course.codes[first], course.target) for course in outer]
    table = fitted(sums_by(member, amounts, len(first)), np.diff(edges) * amounts.sum(), targets)
    passed = np.concatenate([[0.0], np.cumsum(table[:, inside[first]].sum(axis=1))])
    return passed / max(float(passed[-1]), 1e-300)


def _course(cells: Cells, amounts: Floats, schedule: Schedule, edges: Floats, inside: Mask | None = None) -> _Course:
    cells.require(schedule.axis)
    names, axis = cells.values[schedule.axis], cells.axes[schedule.axis]
    listed = _listed(schedule, names)
    drawn = sums_by(axis, amounts, len(names))
    values = list(dict.fromkeys([*listed, *(name for name, n in zip(names, drawn, strict=True) if n > 0)]))
    number = {value: i for i, value in enumerate(values)}
    codes = np.array([number.get(name, -1) for name in names], dtype=np.int64)[axis]
    codes = np.where(inside, codes, -1) if inside is not None else codes
    if schedule.path:
        held = sums_by(codes[codes >= 0], amounts[codes >= 0], len(values))
        return _Course(schedule.axis, values, codes, _path_shares(schedule, held / max(held.sum(), 1e-300), edges))
    target = np.zeros((len(edges) - 1, len(values)))
    target[:, : len(listed)] = points_over(schedule.kind, schedule.points, edges)[1]
    return _Course(schedule.axis, values, codes, target)


def _listed(schedule: Schedule, names: Sequence[str]) -> list[str]:
    if schedule.points:
        return points_over(schedule.kind, schedule.points, np.array([0.0, 1.0]))[0]
    for value in schedule.path:
        hint = "" if value in names or value.isdigit() else nearest(value, names)
        if hint:
            raise ConfigError(f"the path of {schedule.axis!r} names {value!r}, which no sample has{hint}")
    return list(schedule.path)


def _path_shares(schedule: Schedule, widths: Floats, edges: Floats) -> Floats:
    """[B, V] the path's values in turn; values that are not on it keep their share in every block."""
    shares = np.tile(widths, (len(edges) - 1, 1))
    on_path = widths[: len(schedule.path)]
    if on_path.sum() > 0:
        shares[:, : len(on_path)] = path_over(schedule.kind, on_path / on_path.sum(), edges) * on_path.sum()
    return shares


def _normal(weights: Floats) -> Floats:
    normal: Floats = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    return normal
