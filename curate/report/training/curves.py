"""What training runs logged, as curves: (step, value) pairs out of metrics.jsonl."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from curate.errors import InputError
from curate.storage import Folder, json_lines

METRICS, CONFIG = "metrics.jsonl", "config.yaml"

Row = Mapping[str, Any]
Points = list[tuple[float, float]]
"""(step, value), steps rising."""


@dataclass(frozen=True)
class Curves:
    """One run's rows, read from metrics.jsonl (its format: train/metrics/logbook.py)."""

    name: str
    train: Sequence[Row]
    validation: Sequence[Row]
    config: str  # config.yaml as it stands, "" when there is none

    @classmethod
    def read(cls, folder: Folder, name: str) -> "Curves":
        """A run's; InputError when nothing is logged yet."""
        rows = [row for row in json_lines(folder.read(METRICS)) if _number(row.get("step")) is not None]
        kinds = {kind: [row for row in rows if row.get("kind") == kind] for kind in ("train", "validation")}
        if not rows:
            raise InputError(f"{folder.uri}/{METRICS} has no row yet; train some steps first")
        config = folder.read(CONFIG).decode("utf-8", "replace") if folder.exists(CONFIG) else ""
        return cls(name, kinds["train"], kinds["validation"], config)

    @property
    def steps(self) -> int:
        """The last step that a row tells of."""
        return max(int(row["step"]) for row in (*self.train, *self.validation))

    def of(self, *path: str, kind: str = "train") -> Points:
        """A figure over the steps, by its place in a row: of("tokens_per_s", "real"). Rows without it are left out."""
        rows = self.train if kind == "train" else self.validation
        pairs = ((float(row["step"]), _number(_at(row, path))) for row in rows)
        return [(step, value) for step, value in pairs if value is not None]

    def keys(self, *path: str) -> list[str]:
        """What stands under a place in any training row, in the order of its first coming."""
        found: dict[str, None] = {}
        for row in self.train:
            inner = _at(row, path)
            found.update(dict.fromkeys(inner) if isinstance(inner, Mapping) else {})
        return list(found)

    def values(self, axis: str) -> list[str]:
        """Values of an axis of the losses, those with most tokens first; shot positions in their order."""
        return sorted(self._tokens[axis], key=_position if axis == "shots" else lambda name: -self._tokens[axis][name])

    @cached_property
    def _tokens(self) -> dict[str, dict[str, float]]:
        """Tokens by axis and value over the whole run."""
        counted: dict[str, dict[str, float]] = {"source": {}, "format": {}, "shots": {}}
        for row in self.train:
            for axis, known in counted.items():
                for name, one in _mapping(_at(row, ("losses", axis))).items():
                    known[name] = known.get(name, 0.0) + (_number(_mapping(one).get("tokens")) or 0.0)
        return counted

    def mean(self, axis: str, value: str, rows: Sequence[Row]) -> float | None:
        """The mean loss of an axis' value over some rows, weighted by tokens; None without any."""
        total = tokens = 0.0
        for row in rows:
            one = _mapping(_at(row, ("losses", axis, value)))
            loss, count = _number(one.get("loss")), _number(one.get("tokens"))
            if loss is not None and count:
                total, tokens = total + loss * count, tokens + count
        return total / tokens if tokens else None


def smoothed(points: Points, share: float = 0.04) -> Points:
    """A running mean over a share of the points, centred; steps stay."""
    reach = int(len(points) * share / 2)
    if not reach:
        return points
    sums = [0.0]
    for _, value in points:
        sums.append(sums[-1] + value)
    ends = [(max(0, at - reach), min(len(points), at + reach + 1)) for at in range(len(points))]
    return [(step, (sums[b] - sums[a]) / (b - a)) for (step, _), (a, b) in zip(points, ends, strict=True)]


def thinned(points: Points, most: int = 400) -> Points:
    """At most so many points: means of neighbours, so that a page stays small."""
    if len(points) <= most:
        return points
    edges = [len(points) * at // most for at in range(most + 1)]
    groups = [points[a:b] for a, b in pairwise(edges)]
    return [(_mean(step for step, _ in group), _mean(value for _, value in group)) for group in groups]


def best(points: Points) -> tuple[float, float] | None:
    """The lowest point."""
    lowest: Callable[[tuple[float, float]], float] = lambda point: point[1]  # noqa: E731
    return min(points, key=lowest, default=None)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)


def _at(row: Row, path: Sequence[str]) -> Any:
    found: Any = row
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    """A finite number; None for whatever else a file may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None


def _position(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isascii() and name.isdigit() and len(name) < 9 else (1 << 30, name)
