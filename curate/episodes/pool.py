"""The demonstrations of a run as arrays: what selectors, guard and formats compute with.

N demonstrations, at most M images each. Codes are small integers for equal strings; -1 means none.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.episodes.dice import Bits, Floats, Ints, Mask
from curate.retrieval.exact import score
from curate.schema import Demonstration, to_table

if TYPE_CHECKING:
    import pyarrow as pa

_HEX = re.compile(r"[0-9a-fA-F]{16}\Z")
_NODE = re.compile(r"#([0-9]{1,9})\Z")


def normal(text: str) -> str:
    """How answers and concepts are compared: case folded, single spaces, no full stop at the end."""
    return " ".join(text.casefold().split()).rstrip(".")


@dataclass(frozen=True)
class Groups:
    """Rows by code: those of code c are rows[starts[c] : starts[c + 1]], ascending."""

    starts: Ints  # [codes + 1]
    rows: Ints

    @classmethod
    def of(cls, codes: Ints, count: int, usable: Mask) -> "Groups":
        """Groups of the usable rows with a code."""
        kept = np.flatnonzero(usable & (codes >= 0))
        kept = kept[np.argsort(codes[kept], kind="stable")]
        starts = np.zeros(count + 1, dtype=np.int64)
        np.cumsum(np.bincount(codes[kept], minlength=count), out=starts[1:])
        return cls(starts, kept)

    @cached_property
    def sizes(self) -> Ints:
        """Rows of every code."""
        return np.diff(self.starts)

    def size_of(self, codes: Ints) -> Ints:
        """Rows of each given code; 0 for -1."""
        return np.where(codes >= 0, self.sizes[codes] if len(self.sizes) else 0, 0)


class Codes:
    """Hands out a code for every distinct key, in order of first sight."""

    def __init__(self) -> None:
        self.known: dict[Hashable, int] = {}

    def of(self, key: Hashable) -> int:
        """The key's code."""
        return self.known.setdefault(key, len(self.known))

    def array(self, keys: Iterable[Hashable | None]) -> Ints:
        """Codes of keys; -1 for None."""
        return np.array([-1 if key is None else self.of(key) for key in keys], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Pool:
    """A struct of arrays over N demonstrations."""

    table: "pa.Table"  # the demonstrations' own columns, for the records
    ids: list[str]
    questions: list[str]
    answers: list[str]
    captions: Mask  # [N] the demonstration is a caption
    tasks: Ints  # [N]
    answer_codes: Ints  # [N] code of (task, normalised answer)
    concepts: Ints  # [N] code of the most specific concept, the same for all tasks
    broader: Ints  # [N] code of the next concept
    names: list[str]  # by concept code
    related: Ints  # sorted a * len(names) + b for concepts a, b that one picture bears, in whatever records
    documents: Ints  # [N]
    places: Ints  # [N] demonstrations of the same document and source that stand before it there; -1 where unknown
    sources: Ints  # [N]
    images: Ints  # [N, M]
    hashes: Bits  # [N, M]
    vectors: NDArray[np.float16] | None  # [V, D] unit rows
    vector_rows: Ints  # [N, M]
    faults: list[str]  # [N] why a demonstration cannot be used, "" when it can

    @classmethod
    def of(cls, demonstrations: Sequence[Demonstration], vectors: NDArray[Any] | None = None, max_images: int = 8) -> "Pool":
        """A pool of records; `vectors` [N, D] are those of the first images."""
        rows = {(d.id, d.images[0].ref): i for i, d in reversed(list(enumerate(demonstrations))) if d.images}
        return cls.from_table(to_table(demonstrations, Demonstration), vectors, rows, max_images)

    @classmethod
    def from_table(
        cls,
        table: "pa.Table",
        vectors: NDArray[Any] | None,
        rows: dict[tuple[str, str], int],
        max_images: int = 8,
    ) -> "Pool":
        """A pool of an Arrow table of demonstrations; `rows` finds the vector of (demonstration id, image ref)."""
        column = {name: table.column(name).to_pylist() for name in _READ}
        tasks, answers, concepts = Codes(), Codes(), Codes()
        lists = [[name for name in map(normal, names or ()) if name] for names in column["concepts"]]
        images = _Images(column, rows if vectors is not None else None, max_images)
        first = concepts.array(names[0] if names else None for names in lists)
        second = concepts.array(names[1] if len(names) > 1 else None for names in lists)
        related = _related(column["images"], lists, concepts)
        documents, sources = Codes().array(name or None for name in column["document_id"]), Codes().array(column["source"])
        return cls(
            table=table,
            ids=column["id"],
            questions=column["question"],
            answers=column["answer"],
            captions=np.array([f == "caption" for f in column["format"]], dtype=bool),
            tasks=tasks.array(column["task"]),
            answer_codes=answers.array((t, normal(a)) for t, a in zip(column["task"], column["answer"], strict=True)),
            concepts=first,
            broader=second,
            names=_names(column, concepts),
            related=related,
            documents=documents,
            places=_places(table, documents, sources),
            sources=sources,
            images=images.codes,
            hashes=images.hashes,
            vectors=None if vectors is None else vectors.astype(np.float16, copy=False),
            vector_rows=images.vectors,
            faults=images.faults,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def usable(self) -> Mask:
        """[N] demonstrations without a fault."""
        return np.array([not fault for fault in self.faults], dtype=bool)

    @cached_property
    def labelled(self) -> Mask:
        """[N] usable demonstrations whose concept reads as a label: headings that are sentences or addresses do not."""
        short = np.array([len(name) <= LABEL and "://" not in name for name in self.names], dtype=bool)
        return self.usable & (self.concepts >= 0) & (short[self.concepts] if len(short) else False)

    def are_related(self, one: Ints, other: Ints) -> Mask:
        """Whether two concepts name the same thing or may both be true of one image; shapes broadcast."""
        keys = np.asarray(one * len(self.names) + other)
        if not len(self.related):
            return np.asarray(one == other)
        at = np.minimum(np.searchsorted(self.related, keys), len(self.related) - 1)
        return np.asarray((one == other) | ((self.related[at] == keys) & (one >= 0) & (other >= 0)))

    def similarity(self, one: Ints, others: Ints) -> Floats:
        """Cosine [Q, C] of rows `one` [Q] with rows `others` [Q, C], the largest over image pairs; NaN without vectors."""
        if self.vectors is None:
            return np.full(others.shape, np.nan, dtype=np.float32)
        best = np.full(others.shape, -2.0, dtype=np.float32)
        for mine in range(self.images.shape[1]):
            for theirs in range(self.images.shape[1]):
                best = np.maximum(best, self._cosine(self.vector_rows[one, mine], self.vector_rows[others, theirs]))
        return best

    def _cosine(self, one: Ints, others: Ints) -> Floats:
        """Exact to the last bit on any machine (curate.retrieval.exact); -2 where there is no vector."""
        cosine = score(self._single, self._single[one], np.maximum(others, 0))
        return np.where((one[:, None] >= 0) & (others >= 0), cosine, np.float32(-2.0)).astype(np.float32)

    def similarity_within(self, rows: Ints) -> Floats:
        """Cosines [Q, T, T] between rows [Q, T], the largest over image pairs."""
        at = self.vector_rows[rows]  # [Q, T, M]
        queries, turns, images = at.shape
        found = np.empty((queries, turns, turns), dtype=np.float32)
        for start in range(0, queries, CHUNK):
            some = at[start : start + CHUNK]
            vectors = self._single[np.maximum(some, 0)].astype(np.float64) * (some >= 0)[..., None]
            flat = vectors.reshape(len(some), turns * images, vectors.shape[-1])
            cosine = np.matmul(flat, flat.transpose(0, 2, 1)).astype(np.float32)
            found[start : start + CHUNK] = cosine.reshape(len(some), turns, images, turns, images).max(axis=(2, 4))
        return found

    @cached_property
    def _single(self) -> Floats:
        """The vectors as float32, which is what is quick to gather and multiply."""
        assert self.vectors is not None
        return np.asarray(self.vectors, dtype=np.float32)


LABEL = 60
"""Characters of the longest concept that stands among options."""
CHUNK = 32
"""Queries whose vectors are compared together, so that they stay in a core's cache."""

_READ = ("id", "images", "question", "answer", "task", "concepts", "format", "document_id", "source")


def _names(column: dict[str, list[Any]], concepts: Codes) -> list[str]:
    """How a concept is written, by code: as most demonstrations write it, of equals the first."""
    written: dict[int, Counter[str]] = defaultdict(Counter)
    for names in column["concepts"]:
        for name in names or ():
            if normal(name):
                written[concepts.of(normal(name))][" ".join(name.split())] += 1
    return [max(written[code], key=written[code].__getitem__) for code in range(len(written))]


def _places(table: "pa.Table", documents: Ints, sources: Ints) -> Ints:
    """[N] ranks within a document by the node that a demonstration was made of, which `curate align` writes behind the # of
    its record; equal nodes by row. -1 where there is no document or no node."""
    import pyarrow.compute as pc

    records = pc.struct_field(table.column("provenance"), "record").to_pylist()
    nodes = np.array([int(found[1]) if (found := _NODE.search(record or "")) else -1 for record in records], dtype=np.int64)
    placed = np.flatnonzero((documents >= 0) & (nodes >= 0))
    page = documents[placed] * (sources.max(initial=0) + 1) + sources[placed]
    order, ranks = ranked_within(page, nodes[placed])
    places = np.full(len(documents), -1, dtype=np.int64)
    places[placed[order]] = ranks
    return places


def ranked_within(groups: Ints, by: Ints) -> tuple[Ints, Ints]:
    """The order [N] by group, then by `by`, ties as they come; and the ranks [N] within the group, in that order."""
    order = np.lexsort((by, groups))
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    return order, np.arange(len(order)) - np.repeat(first, sizes)


def _related(images: list[list[dict[str, Any]]], lists: list[list[str]], concepts: Codes) -> Ints:
    """Pairs of concepts that are both true of a picture. Two sets may name one picture in their own ways."""
    borne: dict[Hashable, set[int]] = defaultdict(set)
    for row, (shown, names) in enumerate(zip(images, lists, strict=True)):
        codes = {concepts.of(name) for name in names}
        for key in [image["ref"] for image in shown or ()] or [row]:
            borne[key] |= codes
    alike = {frozenset(codes) for codes in borne.values()}
    pairs = {(one, other) for codes in alike for one in codes for other in codes if one != other}
    count = len(concepts.known)
    return np.array(sorted(one * count + other for one, other in pairs), dtype=np.int64)


class _Images:
    """Image codes, hashes and vector rows of demonstrations, and what is wrong with any."""

    def __init__(self, column: dict[str, list[Any]], rows: dict[tuple[str, str], int] | None, max_images: int) -> None:
        lists = [images or [] for images in column["images"]]
        shape = (len(lists), max([1, *(min(len(images), max_images) for images in lists)]))
        self.codes = np.full(shape, -1, dtype=np.int64)
        self.hashes = np.zeros(shape, dtype=np.uint64)
        self.vectors = np.full(shape, -1, dtype=np.int64)
        self.faults = [""] * len(lists)
        refs, seen = Codes(), set[str]()
        for row, (name, images) in enumerate(zip(column["id"], lists, strict=True)):
            self.faults[row] = self._fault(name, images, column["answer"][row], max_images, seen)
            seen.add(name)
            if not self.faults[row]:
                self._fill(row, name, images, refs, rows)

    def _fault(self, name: str, images: list[dict[str, Any]], answer: str, max_images: int, seen: set[str]) -> str:
        checks = {
            "duplicate_id": name in seen,
            "no_image": not images,
            "too_many_images": len(images) > max_images,
            "bad_hash": not all(_HEX.match(image["phash"]) for image in images),
            "no_answer": not normal(answer),
        }
        return next((fault for fault, holds in checks.items() if holds), "")

    def _fill(
        self, row: int, name: str, images: list[dict[str, Any]], refs: Codes, rows: dict[tuple[str, str], int] | None
    ) -> None:
        for at, image in enumerate(images):
            self.codes[row, at] = refs.of(image["ref"])
            self.hashes[row, at] = int(image["phash"], 16)
            if rows is not None:
                self.vectors[row, at] = rows.get((name, image["ref"]), -1)
        if rows is not None and self.vectors[row, 0] < 0:
            self.faults[row] = "no_vector"
