"""Which columns of a table hold what, for every importer that reads rows."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from curate.demonstrations.found import Found, ImportSettings, Picture, Unusable
from curate.demonstrations.reading import clean
from curate.errors import InputError
from curate.registry import nearest
from curate.storage import hash_json


class ColumnSettings(ImportSettings):
    """A column mapping. An empty name means that the table has no such column."""

    image: tuple[str, ...] = Field(("file_name",), min_length=1)
    """Columns with one image or a list of images each; several columns are one record with several images."""
    answer: str = "text"
    """Column with the answer: a caption, an answer or a class."""
    question: str = ""
    """Column with the question; without one, captions have none and classes get one of the templates."""
    concepts: tuple[str, ...] = ()
    """Columns with concepts (a text or a list of texts), most specific first; the class itself by default."""
    labels: tuple[str, ...] = ()
    """Names of classes that the answer column gives as numbers from 0."""
    licence_column: str = ""
    """Column with each record's own licence."""

    def wanted(self) -> list[str]:
        """All columns that must be there."""
        optional = (self.question, self.licence_column)
        return [*self.image, self.answer, *self.concepts, *(name for name in optional if name)]

    def check(self, columns: Iterable[str], where: str) -> None:
        """InputError that names every missing column and the ones that are there."""
        there = list(columns)
        missing = [f"{name!r}{nearest(name, there)}" for name in self.wanted() if name not in there]
        if missing:
            have = ", ".join(map(str, there[:20])) or "none"
            remedy = "map yours with --set image=[COLUMN] --set answer=COLUMN"
            raise InputError(f"{where} has no column {', '.join(missing)}; it has: {have}; {remedy}")


def found_in(row: Mapping[str, Any], pictures: tuple[Picture, ...], settings: ColumnSettings, task: str) -> Found:
    """A row's pair. For the task `category` the answer is a class, otherwise a caption or an answer."""
    answer = _answer(row, settings)
    if settings.question:
        question: str | None = clean(_value(row, settings.question), settings.max_text, settings.question)
    else:
        question = "" if task == "caption" else None
    concepts = tuple(concept for name in settings.concepts for concept in _texts(_value(row, name), settings, name))
    if not settings.concepts and task == "category":
        concepts = (answer,)
    licence = clean(_value(row, settings.licence_column), 200, "licence") if settings.licence_column else ""
    return Found(pictures, answer, question, task, concepts, licence=licence)


def _value(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    if value is None:
        raise Unusable("missing_field", name)
    return value


def _answer(row: Mapping[str, Any], settings: ColumnSettings) -> str:
    value = _value(row, settings.answer)
    if isinstance(value, list | tuple) and value:  # several reference captions: the first stands for all
        value = value[0]
    text = clean(value, settings.max_text, settings.answer)
    if not settings.labels:
        return text
    if not text.isdecimal() or int(text) >= len(settings.labels):
        raise Unusable("unknown_label", text[:80])
    return settings.labels[int(text)]


def _texts(value: Any, settings: ColumnSettings, name: str) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [text for entry in values if (text := clean(entry, settings.max_text, name))]


def names_in(value: Any, column: str) -> list[str]:
    """File names in an image column's cell: one, or a list."""
    names = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(name, str) for name in names):
        raise Unusable("wrong_type", f"{column} holds no file name")
    if not names or not all(names):
        raise Unusable("missing_field", column)
    return list(names)


DEEPEST = 50
"""Levels of lists and objects in a record; a parser takes more than the rest of Python can walk or pickle."""


def digest_of(value: Any) -> str:
    """Content hash of a cell or row of plain values, bytes and dates; Unusable when it is nested too deeply."""
    return hash_json(_plain(value, DEEPEST))


def _plain(value: Any, levels: int) -> Any:
    if levels < 0:
        raise Unusable("too_deep", f"more than {DEEPEST} levels")
    if isinstance(value, dict):
        return {str(key): _plain(entry, levels - 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, levels - 1) for entry in value]
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return value if value is None or isinstance(value, str | int | bool) else repr(value)
