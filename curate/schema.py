"""The nouns that walk through the house, as frozen dataclasses with their Arrow schemas.

A record travels as a dataclass inside a stage and as an Arrow row between stages. `to_table` and
`from_table` convert whole lists; `as_json` gives plain dictionaries for shards and reports.
Times, machine names and paths never enter a record, so that equal inputs give equal bytes.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R")

NodeKind = Literal["text", "image"]
Role = Literal["positive", "negative", "support", "query"]
"""positive/negative: shares or does not share the query's label; support: labels do not apply."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record comes from: enough to find the source record and redo every step."""

    source: str  # URI or sample name, never a machine path
    record: str  # path or key of the record inside the source
    lineage: tuple[str, ...] = ()  # "stage:key" of every stage that shaped it, oldest first


@dataclass(frozen=True, slots=True)
class Image:
    """A stored image: its address and what decoding it once told."""

    ref: str  # "<sha256 of the bytes>.<extension of the sniffed format>"
    width: int  # pixels as displayed, EXIF rotation applied
    height: int
    phash: str  # 64-bit DCT perceptual hash, 16 hex digits


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a document in reading order: a block of text or an image."""

    kind: NodeKind
    text: str = ""
    image: Image | None = None
    href: str = ""  # the reference as the page wrote it
    alt: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An image that the page refers to and the document does not hold, with the reason."""

    href: str
    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """An interleaved image-text document."""

    id: str
    source: str
    title: str
    licence: str
    language: str  # ISO 639-1, "" when unknown
    nodes: tuple[Node, ...]
    left_out: tuple[LeftOut, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One answered question about one or several images."""

    id: str
    images: tuple[Image, ...]
    question: str  # "" where the answer is a caption
    answer: str
    task: str  # what is asked for: category, attribute, relation, instance, caption, ...
    concepts: tuple[str, ...]  # most specific first
    format: str  # caption, open_qa, multiple_choice
    document_id: str  # "" for records that come from no document
    context: str  # adjacent text of the document, "" otherwise
    source: str
    licence: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Shot:
    """One turn of an episode, a demonstration or the query, as the model will read it."""

    role: Role
    similarity: float | None  # cosine to the query, None for the query itself
    demonstration_id: str
    document_id: str
    images: tuple[Image, ...]
    question: str  # full text of the turn, options included
    answer: str  # what the model must say, e.g. "B"
    label: str  # what the answer means, e.g. "tabby cat"
    options: tuple[str, ...] = ()  # texts of the options in the order shown


@dataclass(frozen=True, slots=True)
class Episode:
    """Demonstrations in order, then a query: one ICL sample."""

    id: str
    task: str
    concept: str
    format: str
    demonstrations: tuple[Shot, ...]
    query: Shot
    selector: str
    order: str
    settings: str  # hash of the settings that built it
    seed: int
    source: str
    licence: str
    provenance: Provenance


@cache
def arrow_schema(record: type[Any]) -> "pa.Schema":
    """The Arrow schema of a record class, read off its annotations."""
    import pyarrow as pa

    return pa.schema(list(_struct(record)))


def _struct(record: type[Any]) -> "list[pa.Field[Any]]":
    import pyarrow as pa

    hints = typing.get_type_hints(record)
    return [pa.field(f.name, _arrow_type(hints[f.name])) for f in dataclasses.fields(record)]


def _arrow_type(hint: Any) -> "pa.DataType":
    import pyarrow as pa

    plain: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    if hint in plain:
        return plain[hint]
    if dataclasses.is_dataclass(hint):
        return pa.struct(_struct(typing.cast(type[Any], hint)))
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return pa.list_(_arrow_type(args[0]))
    if origin is Literal:
        return pa.string()
    if origin is types.UnionType:
        return _arrow_type(next(arg for arg in args if arg is not type(None)))
    raise TypeError(f"no Arrow type for {hint}")


def as_json(record: Any) -> Any:
    """A record as plain dictionaries, lists and scalars, keys in field order."""
    if hasattr(record, "__dataclass_fields__"):
        return {name: as_json(getattr(record, name)) for name in record.__dataclass_fields__}
    return [as_json(item) for item in record] if isinstance(record, tuple) else record


def from_json(record: type[R], row: dict[str, Any]) -> R:
    """The inverse of `as_json`; KeyError or TypeError when the row has another shape."""
    return typing.cast(R, _reader(typing.cast(Any, record))(row))


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    if dataclasses.is_dataclass(hint):
        make = typing.cast(type[Any], hint)
        hints = typing.get_type_hints(make)
        readers = [(f.name, _reader(hints[f.name])) for f in dataclasses.fields(make)]
        return lambda row: make(*[read(row[name]) for name, read in readers])
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        read_item = _reader(args[0])
        return lambda items: tuple([read_item(item) for item in items or ()])
    if origin is types.UnionType:
        read_some = _reader(next(arg for arg in args if arg is not type(None)))
        return lambda value: None if value is None else read_some(value)
    return lambda value: value


def to_table(records: Iterable[Any], record: type[Any]) -> "pa.Table":
    """Records of class `record` as an Arrow table of its schema."""
    import pyarrow as pa

    return pa.Table.from_pylist([as_json(item) for item in records], schema=arrow_schema(typing.cast(Any, record)))


def from_table(table: "pa.Table", record: type[R]) -> list[R]:
    """Rows of an Arrow table as records of class `record`."""
    read = _reader(typing.cast(Any, record))
    return [read(row) for row in table.to_pylist()]
