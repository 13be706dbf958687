"""Where every importer of benchmarks brings its records: pictures read and verified, turns and items made, faults counted."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from curate import images
from curate.benches import Item
from curate.benchmarks.importing.settings import FileSettings
from curate.demonstrations.found import Unusable
from curate.demonstrations.reading import Root, clean
from curate.episodes.dice import Floats
from curate.errors import ConfigError
from curate.images import BadImage
from curate.schema import Episode, Image, Provenance, Role, Shot
from curate.seeding import rng
from curate.storage import hash_json, sha256

T = TypeVar("T")

BATCH = 32  # pictures encoded at once


@dataclass(frozen=True)
class Entry:
    """An answered question as a file has it, checked."""

    record: str  # its name in the file
    images: tuple[Image, ...]
    question: str
    answers: tuple[str, ...]  # the first is its own
    label: str = ""  # what the answer means, by default the answer
    options: tuple[str, ...] = ()  # texts of the options in the order shown

    @property
    def says(self) -> str:
        """What its answer means."""
        return self.label or self.answers[0]


@dataclass
class Desk:
    """Checks records on their way into a benchmark."""

    root: Root
    settings: FileSettings
    seen: int = 0
    rejected: list[dict[str, str]] = field(default_factory=list)  # {"record", "reason", "detail"}
    _known: dict[str, Image | Unusable] = field(default_factory=dict)  # by name in the source
    _names: dict[str, str] = field(default_factory=dict)  # ref -> a name in the source
    _vectors: dict[str, Floats] = field(default_factory=dict)  # by ref

    @contextmanager
    def record(self, name: str) -> Iterator[None]:
        """Counts a record; a fault in the block rejects it and the rest goes on."""
        self.seen += 1
        try:
            yield
        except Unusable as fault:
            cells = {"record": name, "reason": fault.reason, "detail": fault.detail[:300]}
            self.rejected.append({key: text.encode("utf-8", "replace").decode() for key, text in cells.items()})

    @property
    def reasons(self) -> dict[str, int]:
        """How many records were rejected for what."""
        return dict(sorted(Counter(entry["reason"] for entry in self.rejected).items()))

    def entry(
        self,
        record: str,
        pictures: Sequence[str],
        question: object,
        answers: Iterable[object],
        label: str = "",
        options: tuple[str, ...] = (),
    ) -> Entry:
        """A checked entry; Unusable when a picture or a text is not sound. `pictures` are names below the root."""
        most = self.settings.max_text
        said = tuple(clean(answer, most, "answer") for answer in answers)
        if not said or not said[0]:
            raise Unusable("no_answer")
        if not 0 < len(pictures) <= self.settings.max_images:
            raise Unusable("too_many_images" if pictures else "no_image", f"{len(pictures)} images")
        asked = clean(question, most, "question")
        return Entry(record, tuple(self._image(name) for name in pictures), asked, said, label, options)

    def _image(self, name: str) -> Image:
        if name not in self._known:
            try:
                self._known[name] = self._verified(name)
            except Unusable as fault:
                self._known[name] = fault
        known = self._known[name]
        if isinstance(known, Unusable):
            raise known
        return known

    def data(self, ref: str) -> bytes:
        """The bytes of a picture, read again."""
        return self.root.read(self._names[ref], self.settings.max_bytes)

    def _verified(self, name: str) -> Image:
        data = self.root.read(name, self.settings.max_bytes)
        try:
            facts = images.verify(data, self.settings.max_pixels)
        except BadImage as fault:
            raise Unusable(fault.reason, f"{name[:200]} {fault.detail}") from None
        ref = f"{sha256(data)}.{facts.extension}"
        self._names.setdefault(ref, name)
        return Image(ref, facts.width, facts.height, facts.phash)

    def has(self, name: str) -> bool:
        """Whether a name leads to a file below the root."""
        try:
            return os.path.isfile(self.root.place(name))
        except Unusable:
            return False

    def drawn(self, things: Sequence[T], purpose: str, item: str) -> list[T]:
        """Things in random order; the first K of them are the demonstrations at K shots."""
        order = rng(self.settings.seed, f"bench.import.{purpose}", item).permutation(len(things))
        return [things[at] for at in order.tolist()]

    def queries(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that are asked about, in the file's order."""
        if not 0 < self.settings.queries < len(entries):
            return list(entries)
        taken = {entry.record for entry in self.drawn(entries, "queries", "")[: self.settings.queries]}
        return [entry for entry in entries if entry.record in taken]

    def item(
        self,
        query: Entry,
        shown: Sequence[Entry],
        shots: int,
        *,
        choices: tuple[str, ...] = (),
        arrangement: str = "",
        classes: bool = False,
        task: str = "",
        group: str = "",
    ) -> Item:
        """A query behind its demonstrations. `classes`: demonstrations are positive or negative by their label."""
        turns = tuple(self._shot(entry, query, classes) for entry in shown)
        group = group or query.record
        name = "-".join(part for part in (query.record, str(shots), arrangement) if part)
        asked = replace(self._shot(query, query, classes), role="query", similarity=None)
        episode = Episode(
            f"{self.settings.name}-{name}",
            task,
            query.says,
            "multiple_choice" if query.options else "open_qa" if query.question else "caption",
            turns,
            asked,
            "imported",
            "imported",
            hash_json(self.settings.model_dump(mode="json")),
            self.settings.seed,
            self.settings.name,
            self.settings.licence,
            Provenance(self.settings.name, query.record),
        )
        return Item(episode.id, group, shots, len(choices), choices, query.answers, episode)

    def _shot(self, entry: Entry, query: Entry, classes: bool) -> Shot:
        role: Role = ("positive" if entry.says == query.says else "negative") if classes else "support"
        near = self.likeness(query, entry) if self.settings.encoder else None
        told = hash_json([self.settings.name, entry.record])[:32]
        return Shot(role, near, told, "", entry.images, entry.question, entry.answers[0], entry.says, entry.options)

    def likeness(self, one: Entry, other: Entry) -> float:
        """Cosine between the mean directions of two entries' pictures."""
        here, there = self.direction(one), self.direction(other)
        return round(float(here @ there), 5)

    def direction(self, entry: Entry) -> Floats:
        """Unit vector of an entry's pictures; `encode` comes first."""
        total = np.sum([self._vectors[image.ref] for image in entry.images], axis=0)
        return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), dtype=np.float32)

    def encode(self, entries: Iterable[Entry]) -> None:
        """Vectors of all pictures of entries, where the settings name an encoder."""
        if not self.settings.encoder:
            return
        from curate.encoders.load import load_encoder

        refs = sorted({image.ref for entry in entries for image in entry.images} - set(self._vectors))
        encoder = load_encoder(self.settings.encoder, "tower")
        for at in range(0, len(refs), BATCH):
            chunk = refs[at : at + BATCH]
            pictures = [images.open_rgb(self.data(ref), self.settings.max_pixels) for ref in chunk]
            self._vectors.update(zip(chunk, encoder.encode_images(pictures), strict=True))

    def nearest_last(self, query: Entry, entries: Sequence[Entry], most: int) -> list[Entry]:
        """The `most` entries with the most alike pictures, the most alike last; ConfigError without an encoder."""
        if not self.settings.encoder:
            raise ConfigError("select: rices wants an encoder, as in --set encoder=offline")
        near = np.array([self.likeness(query, entry) for entry in entries])
        best = np.argsort(-near, kind="stable")[:most]
        return [entries[at] for at in best[::-1].tolist()]
