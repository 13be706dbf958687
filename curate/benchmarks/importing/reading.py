"""Reading JSON that others wrote: every shape is checked, nothing is taken for granted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.demonstrations.found import Unusable
from curate.demonstrations.reading import Root, numbered
from curate.errors import InputError


def read_json(folder: Path, name: str, most: int) -> Any:
    """A JSON or JSON-lines file of a folder; InputError in one line when it is not there or not readable."""
    try:
        data = Root(folder).read(name, most)
        if name.endswith(".jsonl"):
            return [json.loads(line) for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
        return json.loads(data)
    except (Unusable, ValueError, RecursionError) as error:
        raise InputError(f"{name} is not readable JSON: {' '.join(str(error).split())[:200]}") from None


def rows_of(value: Any, name: str) -> list[Any]:
    """The list that a file holds; InputError when it holds something else, or nothing."""
    if not isinstance(value, list) or not value:
        raise InputError(f"{name} must hold a list of records, not {'an empty list' if value == [] else type(value).__name__}")
    return value


def named(rows: list[Any], *keys: str) -> Iterator[tuple[str, Any]]:
    """Records with names of their own: the first of `keys` that a record has, or its number; a second one is `x#2`."""
    names = (next((str(row[key]) for key in keys if _is_name(row, key)), f"#{at + 1}") for at, row in enumerate(rows))
    return zip(numbered(name[:200].encode("utf-8", "replace").decode() for name in names), rows, strict=True)


def _is_name(row: Any, key: str) -> bool:
    return isinstance(row, dict) and isinstance(row.get(key), str | int) and not isinstance(row[key], bool) and row[key] != ""


def fields(row: Any, what: str = "record") -> dict[str, Any]:
    """A record as an object; Unusable when it is none."""
    if not isinstance(row, dict):
        raise Unusable("wrong_type", f"the {what} is a {type(row).__name__}, not an object")
    return row


def names_of(value: Any, what: str = "image") -> list[str]:
    """File names in a field: one, or a list."""
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise Unusable("missing_field" if value in (None, "", []) else "wrong_type", what)
    return list(names)


def text_of(value: Any, what: str) -> str:
    """A text, or a number as text; Unusable for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unusable("missing_field" if value is None else "wrong_type", what)
    return str(value)
