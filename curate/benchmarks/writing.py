"""Rows and words as items: the records that a benchmark stores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from curate.benches import Item
from curate.benchmarks.arranging import Arrangement, arrangements
from curate.benchmarks.choosing import Block
from curate.benchmarks.material import Material
from curate.benchmarks.settings import BenchSettings
from curate.schema import Episode, Provenance, Role, Shot
from curate.seeding import rng
from curate.storage import hash_json

W = TypeVar("W")


@dataclass(frozen=True)
class Said:
    """The words of a turn."""

    question: str
    answer: str  # what the model must say
    label: str  # what it means
    options: tuple[str, ...] = ()


class Wording(Protocol):
    """The words of a block."""

    @property
    def choices(self) -> tuple[str, ...]:
        """Everything the model may say."""

    def say(self, row: int, place: int, order: tuple[int, ...]) -> Said:
        """The turn of demonstration `row`, whose class has `place` in the block, with the options in `order`."""


def pick(wordings: Sequence[W], seed: int, name: str) -> W:
    """The wording of the block or question `name`."""
    return wordings[int(rng(seed, "bench.wording", name).integers(len(wordings)))]


@dataclass(frozen=True)
class Stamp:
    """What every item of a benchmark carries."""

    name: str
    kind: str
    settings: str  # hash of what was asked for, without names of places
    seed: int

    @classmethod
    def of(cls, spec: BenchSettings, seed: int) -> "Stamp":
        """The stamp of a benchmark."""
        return cls(spec.name, spec.kind, hash_json(spec.model_dump(mode="json", exclude={"demonstrations"}))[:16], seed)


def block_items(
    spec: BenchSettings,
    material: Material,
    block: Block,
    wording: Wording,
    seed: int,
    with_options: bool,
    each_turn: bool = True,
) -> Iterator[Item]:
    """Every question of a block at every number of shots in every arrangement (see arranging.py)."""
    writer = Writer(material, Stamp.of(spec, seed))
    for shots in spec.shots:
        name = f"{spec.name}/{block.name}"
        for form in arrangements(name, len(block.classes), shots, seed, with_options, each_turn):
            for place in range(len(block.classes)):
                yield _block_item(writer, block, wording, form, shots, place)


def _block_item(writer: "Writer", block: Block, wording: Wording, form: Arrangement, shots: int, place: int) -> Item:
    rows = [block.support[of][nth] for of, nth in form.turns]
    said = [wording.say(row, of, order) for row, (of, _), order in zip(rows, form.turns, form.options[:-1], strict=True)]
    roles: list[Role] = ["positive" if of == place else "negative" for of, _ in form.turns]
    query = block.queries[place]
    asked = wording.say(query, place, form.options[-1])
    group = f"{block.name}-q{place}"
    episode = writer.episode(f"{group}-k{shots}-{form.name}", form.name, query, rows, roles, [*said, asked])
    return Item(episode.id, group, shots, len(block.classes), wording.choices, (asked.answer,), episode)


@dataclass(frozen=True)
class Writer:
    """Makes records of rows."""

    material: Material
    stamp: Stamp

    def episode(
        self, name: str, order: str, query: int, rows: Sequence[int], roles: Sequence[Role], said: Sequence[Said]
    ) -> Episode:
        """Demonstrations `rows` and a query with what is said of them, the query's words last."""
        own = self.material.demonstrations[query]
        near = self._similarities(query, rows)
        shots = [self.shot(*turn) for turn in zip(rows, roles, said[:-1], near, strict=True)]
        return Episode(
            id=f"{self.stamp.name}/{name}",
            task=own.task,
            concept=said[-1].label,
            format=self.stamp.kind,
            demonstrations=tuple(shots),
            query=self.shot(query, "query", said[-1], None),
            selector="block" if "positive" in roles else "support",
            order=order,
            settings=self.stamp.settings,
            seed=self.stamp.seed,
            source=own.source,
            licence=self.licence([query, *rows]),
            provenance=Provenance(own.source, own.id, own.provenance.lineage),
        )

    def shot(self, row: int, role: Role, said: Said, similarity: float | None) -> Shot:
        """One turn."""
        own = self.material.demonstrations[row]
        words = (said.question, said.answer, said.label, said.options)
        return Shot(role, similarity, own.id, own.document_id, own.images, *words)

    def licence(self, rows: Sequence[int]) -> str:
        """All licences of rows, joined by AND as SPDX expressions are."""
        names = sorted({self.material.demonstrations[row].licence for row in rows} - {""})
        return " AND ".join(f"({name})" if " OR " in name and len(names) > 1 else name for name in names)

    def _similarities(self, query: int, rows: Sequence[int]) -> list[float | None]:
        """Cosines to four digits, None where there are no vectors."""
        if not len(rows):
            return []
        cosines = self.material.pool.similarity(np.array([query]), np.array([rows]))[0]
        return [None if np.isnan(value) else round(float(value), 4) + 0.0 for value in cosines]
