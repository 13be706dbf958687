"""Labelled pictures: a folder for each label, a CSV or JSONL table with paths beside it, or a run.

A table's first columns found under these names count: the picture (`image`, `file_name`, ...), relative to the table, and
the label (`label`, `class`, `answer`, ...); a column `question` is the record's own question.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from curate.demonstrations.found import Unusable
from curate.demonstrations.importers.metadata import TABLES, read_csv, read_jsonl
from curate.demonstrations.reading import Root, clean, folder_concepts
from curate.errors import InputError, IntegrityError
from curate.images import BadImage
from curate.labelled.pictures import Pictures, Rejected
from curate.layout import Run
from curate.schema import Image
from curate.storage import sha256

LabelOf = Literal["answer", "concept"]
"""What of a run's demonstration is its label: its answer, or its most specific concept."""

IMAGE_COLUMNS = ("image", "file_name", "filename", "file", "path")
LABEL_COLUMNS = ("label", "class", "answer", "text", "caption")
MAX_TABLE, MAX_TEXT = 1_000_000_000, 20_000
KEPT = 256
"""Pictures whose bytes are kept in memory."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture, or several, and what is to be said of them."""

    name: str  # path below the folder, or the id in a run
    pictures: tuple[Image, ...]
    label: str
    question: str | None = None  # its own, "" for a caption; None where the source states none


@dataclass(frozen=True)
class LabelledSet:
    """What was read."""

    rows: tuple[Labelled, ...]
    rejected: tuple[Rejected, ...]
    data: Callable[[str], bytes]  # a picture's bytes by ref

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct labels, sorted."""
        return tuple(sorted({row.label for row in self.rows}))


def read_labelled(place: "str | os.PathLike[str]", label_of: LabelOf = "answer") -> LabelledSet:
    """The labelled pictures at a place. InputError when there is nothing of the kind."""
    path = Path(place)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a folder with a folder for each label, a CSV or JSONL table, or a run")
    if path.is_dir() and (path / "demonstrations").is_dir() and Run.at(path).stages("demonstrations"):
        found = _of_run(Run.at(path), label_of)
    elif table := path if path.is_file() else next((path / name for name in TABLES[:2] if (path / name).is_file()), None):
        found = _of_files(table.parent, _rows_of(table))
    else:
        found = _of_files(path, _rows_of_classes(path))
    if not found.rows:
        first = f" (the first: {found.rejected[0].name}: {found.rejected[0].reason})" if found.rejected else ""
        raise InputError(f"{path} holds no usable labelled picture{first}; see docs/how-to/predict.md")
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    """A record before its picture is looked at; one that is bad already says why."""

    name: str
    label: str = ""
    question: str | None = None
    fault: Unusable | None = None


def _rows_of_classes(folder: Path) -> Iterator[_Row]:
    for name in Pictures(folder).names:
        folders = folder_concepts(name)
        yield _Row(name, folders[0]) if folders else _Row(name, fault=Unusable("no_class", "it lies in no label's folder"))


def _rows_of(table: Path) -> Iterator[_Row]:
    read = {".csv": read_csv, ".jsonl": read_jsonl}.get(table.suffix.lower())
    if read is None:
        raise InputError(f"{table} is neither .csv nor .jsonl; a table needs the columns image and label")
    try:
        rows = read(Root(table.parent).read(table.name, MAX_TABLE), table.name)
    except Unusable as fault:
        raise InputError(f"{table}: {fault}") from None
    columns = list(dict.fromkeys(str(name) for row in rows if isinstance(row, dict) for name in row))
    image, label = _column(IMAGE_COLUMNS, columns, table), _column(LABEL_COLUMNS, columns, table)
    for number, row in enumerate(rows, 1):
        yield _row(f"{table.name}#{number}", row, image, label)


def _column(wanted: tuple[str, ...], there: list[str], table: Path) -> str:
    found = next((name for name in wanted if name in there), None)
    if found is None:
        have = ", ".join(there[:20]) or "none"
        raise InputError(f"{table} has no column {wanted[0]!r} (nor {', '.join(wanted[1:])}); it has: {have}")
    return found


def _row(place: str, row: Mapping[str, Any] | Unusable, image: str, label: str) -> _Row:
    try:
        if isinstance(row, Unusable):
            raise row
        if not isinstance(row.get(image), str):
            raise Unusable("missing_field", image)
        question = row.get("question")
        told = None if question is None else clean(question, MAX_TEXT, "question")
        return _Row(row[image], clean(row[label], MAX_TEXT, label) if row.get(label) is not None else "", told)
    except Unusable as fault:
        return _Row(place, fault=fault)


def _of_files(folder: Path, rows: Iterable[_Row]) -> LabelledSet:
    pictures = Pictures(folder, ())
    names: dict[str, str] = {}
    made: list[Labelled] = []
    rejected: list[Rejected] = []
    for row in rows:
        try:
            made.append(_looked_at(row, pictures))
            names.setdefault(made[-1].pictures[0].ref, row.name)
        except BadImage as fault:
            rejected.append(Pictures.rejected(row.name, fault))
    return LabelledSet(tuple(made), tuple(rejected), lru_cache(KEPT)(lambda ref: pictures.read(names[ref])[1]))


def _looked_at(row: _Row, pictures: Pictures) -> Labelled:
    if row.fault is not None:
        raise BadImage(row.fault.reason, row.fault.detail)
    if not row.label:
        raise BadImage("no_label")
    return Labelled(row.name, (pictures.read(row.name)[0],), row.label, row.question)


def _of_run(run: Run, label_of: LabelOf) -> LabelledSet:
    made: list[Labelled] = []
    rejected: list[Rejected] = []
    for one in run.demonstrations():
        label = one.answer if label_of == "answer" else next(iter(one.concepts), "")
        if label and one.images:
            made.append(Labelled(one.id, one.images, label, one.question if label_of == "answer" else None))
        else:
            rejected.append(Rejected(one.id, "no_label" if one.images else "no_image", ""))
    return LabelledSet(tuple(made), tuple(rejected), lru_cache(KEPT)(partial(_stored, run)))


def _stored(run: Run, ref: str) -> bytes:
    """A picture of the run; IntegrityError when it is not what was verified when it was imported."""
    data = run.images.get(ref)
    if sha256(data) != ref.partition(".")[0]:
        raise IntegrityError(f"{run.root.uri} holds another picture under {ref[:12]}…; import its source again")
    return data
