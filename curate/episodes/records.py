"""Drafts and their words as an Arrow table of Episodes, without a Python object for every turn.

The columns that a demonstration brings along (images, document) are taken from the pool's own Arrow columns
by row; only what an episode adds is written here. The table equals `to_table(episodes, Episode)`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from curate.episodes.dice import Ints
from curate.episodes.drafts import Drafts, Turns
from curate.episodes.formats import FORMATS, flat
from curate.episodes.pool import Codes, Pool
from curate.schema import Episode, Shot, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

ROLES = ("positive", "negative", "support", "query")
_POSITIVE, _NEGATIVE, _SUPPORT, _QUERY = range(4)


@dataclass(frozen=True)
class Stamp:
    """What every episode of a build carries."""

    settings: str  # hash of the settings, templates included
    seed: int
    lineage: tuple[str, ...]  # of the embeddings, the index and this stage


class Scribe:
    """Writes the drafts of one pool as Arrow tables."""

    def __init__(self, pool: Pool, stamp: Stamp) -> None:
        self._stamp, self._pool = stamp, pool
        self._sources = _Coded(pool, "source")
        self._licences = _Coded(pool, "licence")
        self._lineages = _Lineages(pool, stamp.lineage)
        self._joined: dict[tuple[int, ...], str] = {}

    @cached_property
    def _columns(self) -> "dict[str, pa.Array]":
        table = self._pool.table.combine_chunks()
        return {name: _whole(table.column(name)) for name in ("id", "document_id", "images")}

    def table(self, drafts: Drafts, turns: Turns) -> "pa.Table":
        """The episodes of one cell, with the columns of `Episode`."""
        import pyarrow as pa

        plan, count, shots = drafts.cell.plan, len(drafts), drafts.cell.shots
        shot = self._shots(drafts, turns)
        at = np.arange(count * (shots + 1)).reshape(count, shots + 1)
        offsets = pa.array(np.arange(count + 1) * shots, pa.int32())
        queries = drafts.rows[:, -1].tolist()
        tasks, concepts = self._pool.table.column("task"), self._pool.concepts
        columns = {
            "id": pa.array(ids(drafts, self._stamp.seed)),
            "task": _whole(tasks).take(pa.array(queries, pa.int64())),
            "concept": pa.array([self._pool.names[code] if code >= 0 else "" for code in concepts[queries].tolist()]),
            "format": pa.repeat(plan.format, count),
            "demonstrations": pa.ListArray.from_arrays(offsets, shot.take(pa.array(flat(at[:, :-1]), pa.int64()))),
            "query": shot.take(pa.array(at[:, -1])),
            "selector": pa.repeat(plan.selector, count),
            "order": pa.repeat(plan.order, count),
            "settings": pa.repeat(self._stamp.settings, count),
            "seed": pa.repeat(pa.scalar(self._stamp.seed, pa.int64()), count),
            "source": pa.array([self._sources.names[code] for code in self._sources.codes[queries].tolist()]),
            "licence": pa.array(self._licences_of(drafts.rows)),
            "provenance": self._provenance(drafts, queries),
        }
        schema = arrow_schema(Episode)
        return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)

    def _shots(self, drafts: Drafts, turns: Turns) -> "pa.StructArray":
        """All turns as one struct array of `Shot`, episode by episode."""
        import pyarrow as pa

        rows = pa.array(drafts.rows.ravel())
        lengths = [0, *np.cumsum([len(texts) for texts in turns.options], dtype=np.int64).tolist()]
        texts = pa.array([text for options in turns.options for text in options], pa.string())
        role = pa.DictionaryArray.from_arrays(pa.array(_roles(drafts).ravel(), pa.int8()), pa.array(ROLES)).cast(pa.string())
        columns = {
            "role": role,
            "similarity": _similarities(drafts),
            "demonstration_id": self._columns["id"].take(rows),
            "document_id": self._columns["document_id"].take(rows),
            "images": self._columns["images"].take(rows),
            "question": pa.array(turns.questions, pa.string()),
            "answer": pa.array(turns.answers, pa.string()),
            "label": pa.array(turns.labels, pa.string()),
            "options": pa.ListArray.from_arrays(pa.array(lengths, pa.int32()), texts),
        }
        fields = list(arrow_schema(Shot))
        return pa.StructArray.from_arrays([columns[field.name].cast(field.type) for field in fields], fields=fields)

    def _licences_of(self, rows: Ints) -> list[str]:
        """All licences in an episode, joined by AND as SPDX expressions are."""
        return [self._join(key) for key in _distinct(self._licences.codes[rows])]

    def _join(self, codes: tuple[int, ...]) -> str:
        if codes not in self._joined:
            names = sorted({self._licences.names[code] for code in codes} - {""})
            self._joined[codes] = " AND ".join(f"({n})" if " OR " in n and len(names) > 1 else n for n in names)
        return self._joined[codes]

    def _provenance(self, drafts: Drafts, queries: list[int]) -> "pa.StructArray":
        """Source of the query, the id of its demonstration, and all stages that shaped any turn."""
        import pyarrow as pa

        lineages = [self._lineages.of(key) for key in _distinct(self._lineages.codes[drafts.rows])]
        sources = [self._sources.names[code] for code in self._sources.codes[queries].tolist()]
        fields = list(arrow_schema(Episode).field("provenance").type)
        arrays = [pa.array(sources, pa.string()), pa.array([self._pool.ids[row] for row in queries], pa.string())]
        return pa.StructArray.from_arrays([*arrays, pa.array(lineages, pa.list_(pa.string()))], fields=fields)


def ids(drafts: Drafts, seed: int) -> list[str]:
    """Episode ids: hashes of what determines the content (cell, seed, query and variant, demonstrations in order)."""
    names, head = drafts.pool.ids, f"{drafts.cell.name}\x1f{seed}\x1f"
    contents = zip(drafts.items, drafts.rows[:, :-1].tolist(), strict=True)
    keys = ("\x1f".join((head, item, *(names[row] for row in rows))) for item, rows in contents)
    return [hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() for key in keys]


def _roles(drafts: Drafts) -> Ints:
    """[E, S + 1] indices into ROLES."""
    roles = np.full(drafts.rows.shape, _SUPPORT)
    if FORMATS.get(drafts.cell.plan.format).by_concept:
        roles = np.where(drafts.slots == drafts.slots[:, -1:], _POSITIVE, _NEGATIVE)
    roles[:, -1] = _QUERY
    return roles


def _similarities(drafts: Drafts) -> "pa.Array":
    """Cosines to four digits; none for the query and where there are no vectors."""
    import pyarrow as pa

    shape = drafts.rows.shape
    cosines = np.full(shape, np.nan)
    cosines[:, :-1] = np.round(drafts.similarity.astype(np.float64), 4) + 0.0
    return pa.array(cosines.ravel(), pa.float64(), from_pandas=True)  # NaN becomes null


def _distinct(codes: Ints) -> list[tuple[int, ...]]:
    """The distinct codes of every row, in order of first sight from the query backwards, as hashable keys."""
    if codes.size and codes.min() == codes.max():
        return [(int(codes.flat[0]),)] * len(codes)
    return [tuple(dict.fromkeys(reversed(row))) for row in codes.tolist()]


def _whole(column: "pa.ChunkedArray") -> "pa.Array":
    """A column as one array."""
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


class _Coded:
    """A string column as codes."""

    def __init__(self, pool: Pool, name: str) -> None:
        known = Codes()
        self.codes = known.array(pool.table.column(name).to_pylist())
        self.names: Sequence[str] = [str(key) for key in known.known]


class _Lineages:
    """The lineages of demonstrations, and their unions."""

    def __init__(self, pool: Pool, more: tuple[str, ...]) -> None:
        known = Codes()
        rows = pool.table.column("provenance").to_pylist()
        self.codes = known.array(tuple(row["lineage"] or ()) for row in rows)
        self._chains = list(known.known)
        self._more, self._unions = more, dict[tuple[int, ...], list[str]]()

    def of(self, codes: tuple[int, ...]) -> list[str]:
        """Every stage once, in order."""
        if codes not in self._unions:
            chains = [self._chains[code] for code in codes]
            steps = [str(step) for chain in chains if isinstance(chain, tuple) for step in chain]
            self._unions[codes] = list(dict.fromkeys([*steps, *self._more]))
        return self._unions[codes]
