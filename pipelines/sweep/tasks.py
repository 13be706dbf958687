"""What is fitted: runs as rows of shares and choices, and one response or a weighted sum of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate.errors import InputError
from pipelines.sweep.results import Observations, better_when_lower
from pipelines.sweep.space import Floats, Space

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Noise:
    """What seeds alone do: the pooled standard deviation of runs of one mix."""

    sd: float  # 0 where it is not known
    degrees: int  # runs less mixes, of mixes run more than once

    @property
    def is_known(self) -> bool:
        """Whether any mix was run twice."""
        return self.degrees > 0


@dataclass(frozen=True)
class Task:
    """Runs without gaps; the response is `parts @ weights`, and higher is better for every part."""

    space: Space
    rows: Floats  # [n, d]
    mixes: Ints  # [n] number of the mix
    parts: Floats  # [n, t]
    weights: Floats  # [t]
    kept: Ints  # [n] which of the observations these are

    @property
    def y(self) -> Floats:
        """[n]"""
        return self.parts @ self.weights

    @property
    def count(self) -> int:
        """Mixes."""
        return len(np.unique(self.mixes))

    def noise(self) -> Noise:
        """Of the response."""
        return noise_of(self.y, self.mixes)

    def merged(self) -> "Task":
        """The same response as a single part."""
        return Task(self.space, self.rows, self.mixes, self.y[:, None], np.ones(1), self.kept)

    def take(self, which: npt.NDArray[np.bool_]) -> "Task":
        """Some of the runs."""
        return Task(self.space, self.rows[which], self.mixes[which], self.parts[which], self.weights, self.kept[which])

    def answering(self, parts: Floats) -> "Task":
        """The same runs with other answers."""
        return Task(self.space, self.rows, self.mixes, parts, self.weights, self.kept)


def noise_of(y: Floats, mixes: Ints) -> Noise:
    """Pooled over mixes that were run more than once."""
    squares, degrees = 0.0, 0
    for mix in np.unique(mixes):
        same = y[mixes == mix]
        squares += float(((same - same.mean()) ** 2).sum())
        degrees += len(same) - 1
    return Noise((squares / degrees) ** 0.5 if degrees else 0.0, degrees)


def task_of(seen: Observations, weights: Mapping[str, float]) -> Task:
    """The runs that have every target of a weighted sum; losses are turned round. InputError for an unknown target."""
    for name in weights:
        if name not in seen.targets:
            raise InputError(f"no trial has the target {name!r}; there are: {', '.join(seen.targets) or 'none'}")
    turned = [-seen.targets[name] if better_when_lower(name) else seen.targets[name] for name in weights]
    parts = np.stack(turned, axis=1) if turned else np.empty((len(seen), 0))
    signs = np.array([-weight if better_when_lower(name) else weight for name, weight in weights.items()])
    kept = np.flatnonzero(np.isfinite(parts).all(axis=1)).astype(np.int64)
    _, mixes = np.unique(seen.mixes, return_inverse=True)
    return Task(seen.space, seen.rows[kept], mixes.astype(np.int64)[kept], parts[kept], signs, kept)


def objective_of(names: Sequence[str], asked: Mapping[str, float] | None) -> dict[str, float]:
    """The weights of the objective: those asked for; else the mean of all gains, of all accuracies, or minus that of all
    losses."""
    if asked:
        return dict(asked)
    for kind, sign in (("gain/", 1.0), ("accuracy/", 1.0), ("loss/", -1.0)):
        if chosen := [name for name in names if name.startswith(kind)]:
            return {name: sign / len(chosen) for name in chosen}
    raise InputError("no trial has a target called gain/…, accuracy/… or loss/…; name an objective")
