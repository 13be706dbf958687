"""What a sweep varies: shares that sum to one (points of a simplex) and choices (one way out of several).

A trial's mix is a row of numbers: the shares of each simplex in turn, then a 0/1 column for each level of each choice. All
that designs, fits and proposes works on such rows, [trials, columns]; only what runs a trial knows what they stand for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EXACT = 1e-9
"""How far shares may be from summing to one, and from their bounds."""


@dataclass(frozen=True, slots=True)
class Simplex:
    """Shares of one axis of the mixture; all tuples are as long as `components`."""

    axis: str  # source, format, shots, replay, …
    components: tuple[str, ...]
    prior: tuple[float, ...]  # the mix that one would take without a sweep
    natural: tuple[float, ...]  # shares of the data that there are
    low: tuple[float, ...]  # bounds
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several ways, such as the order of a plan; the first level is the one taken without a sweep."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One mix: axis -> component -> share, and choice -> level."""

    shares: Mapping[str, Mapping[str, float]]
    choices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Space:
    """All that may be tried."""

    simplices: tuple[Simplex, ...]
    choices: tuple[Choice, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a row's numbers: `source:emoji`, `order=flat`."""
        shares = [f"{one.axis}:{name}" for one in self.simplices for name in one.components]
        return (*shares, *(f"{one.name}={level}" for one in self.choices for level in one.levels))

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The columns of each simplex, then of each choice."""
        sizes = [len(one.components) for one in self.simplices] + [len(one.levels) for one in self.choices]
        ends = np.cumsum(sizes).tolist()
        return tuple(slice(end - size, end) for end, size in zip(ends, sizes, strict=True))

    @property
    def prior(self) -> Point:
        """The mix that one would take without a sweep."""
        shares = {one.axis: dict(zip(one.components, one.prior, strict=True)) for one in self.simplices}
        return Point(shares, {one.name: one.levels[0] for one in self.choices})

    def row(self, point: Point) -> Floats:
        """[columns]. KeyError for a point that lacks a component or a choice."""
        shares = [point.shares[one.axis][name] for one in self.simplices for name in one.components]
        levels = [float(point.choices[one.name] == level) for one in self.choices for level in one.levels]
        return np.array([*shares, *levels], dtype=np.float64)

    def point(self, row: Floats) -> Point:
        """The mix that a row stands for."""
        parts = [row[block].tolist() for block in self.blocks]
        shares = {
            one.axis: dict(zip(one.components, part, strict=True)) for one, part in zip(self.simplices, parts, strict=False)
        }
        chosen = zip(self.choices, parts[len(self.simplices) :], strict=True)
        return Point(shares, {one.name: one.levels[int(np.argmax(part))] for one, part in chosen})

    def allows(self, rows: Floats) -> npt.NDArray[np.bool_]:
        """[n, columns] -> [n]: whether shares sum to one within their bounds and each choice has one level."""
        fits = np.ones(len(rows), dtype=bool)
        for block, one in zip(self.blocks, (*self.simplices, *self.choices), strict=True):
            part = rows[:, block]
            fits &= np.abs(part.sum(axis=1) - 1) <= EXACT
            if isinstance(one, Simplex):
                fits &= np.all((part >= np.array(one.low) - EXACT) & (part <= np.array(one.high) + EXACT), axis=1)
            else:
                fits &= np.all((part == 0) | (part == 1), axis=1)
        return fits
