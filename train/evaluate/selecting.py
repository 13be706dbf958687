"""Which demonstrations a picture is shown with: the same for all (fixed), or those most like it (retrieved)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from curate.images import open_rgb
from curate.labelled import LabelledSet
from curate.seeding import rng
from curate.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image as Pixels

Select = Literal["fixed", "retrieved"]
Vectors = npt.NDArray[np.float32]  # [B, D]

TOGETHER = 8
"""Pictures that are decoded and encoded together; more would only take memory on a CPU."""


class Embedder(Protocol):
    """Pictures to vectors whose inner products say how alike they are; curate.encoders.load_encoder gives one."""

    fingerprint: str  # equal ones, comparable vectors

    def encode_images(self, pictures: "Sequence[Pixels]") -> Vectors:
        """RGB pictures as float32 [B, D] of unit length."""


class SelectSettings(Settings):
    """Which demonstrations a picture is shown with."""

    shots: int = Field(default=4, ge=0)
    """Demonstrations of each label; in all where `balanced` is off or labels are open."""

    select: Select = "fixed"
    """fixed: the same demonstrations for every picture, chosen by the seed. retrieved: the most similar ones, the most
    similar last."""

    balanced: bool = True
    """As many of every label. Off: those that come first, whatever their labels."""

    ways: int | None = Field(default=None, ge=2)
    """With retrieved, balanced and closed labels: only the so many labels whose demonstrations come nearest."""

    seed: int = 0
    """Of the choice and order of fixed demonstrations."""


class Query(NamedTuple):
    """A picture that waits for a label."""

    ref: str
    data: bytes


class Selection(Protocol):
    """Chooses demonstrations."""

    def of(self, queries: Sequence[Query]) -> list[list[int]]:
        """Rows of the demonstrations of each query, in order. A picture never demonstrates itself."""


class Fixed:
    """The same demonstrations for every picture: in rounds of one of each label where balanced."""

    def __init__(self, demos: LabelledSet, settings: SelectSettings, balanced: bool) -> None:
        self._demos, self._shots, self._balanced = demos, settings.shots, balanced
        self._order = [int(row) for row in rng(settings.seed, "predict.fixed", "").permutation(len(demos.rows))]

    def of(self, queries: Sequence[Query]) -> list[list[int]]:
        """See Selection."""
        return [self._in_rounds(_first(_others(self._order, self._demos, query), self._rule)) for query in queries]

    @property
    def _rule(self) -> "_Rule":
        return _Rule(self._demos, self._shots, self._balanced, None)

    def _in_rounds(self, rows: list[int]) -> list[int]:
        seen: Counter[str] = Counter()
        rounds = {}
        for row in rows:
            label = self._demos.rows[row].label
            rounds[row], seen[label] = seen[label], seen[label] + 1
        return sorted(rows, key=lambda row: rounds[row]) if self._balanced else rows


class Retrieved:
    """The demonstrations nearest to each query by an encoder, the nearest last."""

    def __init__(self, demos: LabelledSet, settings: SelectSettings, balanced: bool, embedder: Embedder) -> None:
        self._demos, self._embedder = demos, embedder
        self._rule = _Rule(demos, settings.shots, balanced, settings.ways)

    def of(self, queries: Sequence[Query]) -> list[list[int]]:
        """See Selection."""
        if not queries or not self._rule.shots:
            return [[] for _ in queries]
        alike = np.round(self._encoded([query.data for query in queries]) @ self._vectors.T, 5)  # [B, N]
        orders = np.argsort(-alike, axis=1, kind="stable").tolist()
        pairs = zip(queries, orders, strict=True)
        return [_first(_others(order, self._demos, query), self._rule)[::-1] for query, order in pairs]

    @cached_property
    def _vectors(self) -> Vectors:
        """[N, D]; one of several pictures has their mean direction."""
        refs = list(dict.fromkeys(image.ref for row in self._demos.rows for image in row.pictures))
        known = dict(zip(refs, self._encoded(map(self._demos.data, refs)), strict=True))
        means = np.stack([np.mean([known[image.ref] for image in row.pictures], axis=0) for row in self._demos.rows])
        unit: Vectors = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return unit

    def _encoded(self, pictures: Iterable[bytes]) -> Vectors:
        parts, some = [], []
        for data in pictures:
            some.append(open_rgb(data))
            if len(some) == TOGETHER:
                parts.append(self._embedder.encode_images(some))
                some = []
        return np.concatenate([*parts, self._embedder.encode_images(some)] if some else parts)


def _others(order: Iterable[int], demos: LabelledSet, query: Query) -> Iterable[int]:
    """The order without records of the query's own picture."""
    return (row for row in order if all(image.ref != query.ref for image in demos.rows[row].pictures))


class _Rule(NamedTuple):
    """How many are taken."""

    demos: LabelledSet
    shots: int
    balanced: bool
    ways: int | None


def _first(order: Iterable[int], rule: _Rule) -> list[int]:
    """The first of an order: `shots` in all, or of each label, or of each of the `ways` labels that come first."""
    taken: list[int] = []
    seen: Counter[str] = Counter()
    ways = min(rule.ways or len(rule.demos.labels), len(rule.demos.labels)) if rule.balanced else 1
    for row in order if rule.shots else ():
        label = rule.demos.rows[row].label if rule.balanced else ""
        if seen[label] < rule.shots and (seen[label] or len(+seen) < ways):
            taken.append(row)
            seen[label] += 1
            if len(taken) == ways * rule.shots:
                break
    return taken
