"""Images with a table beside them, as in datasets' ImageFolder: metadata.csv, metadata.jsonl or metadata.parquet.

PATH is such a table or a folder with one or several; the column `file_name` is relative to its table. The
other columns are mapped by settings.
"""

import csv
import io
import json
import posixpath
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from curate.demonstrations.columns import ColumnSettings, digest_of, found_in, names_in
from curate.demonstrations.found import IMPORTERS, Found, ImportSettings, Item, Picture, Unusable
from curate.demonstrations.reading import Root
from curate.errors import InputError

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
LONGEST_FIELD = 10_000_000

Row = dict[str, Any] | Unusable


class MetadataSettings(ColumnSettings):
    """Settings of `curate import metadata`."""

    max_table: int = 4_000_000_000
    """Largest table that is read, in bytes."""


@IMPORTERS.register("metadata")
class Metadata:
    """Rows of metadata tables."""

    Settings: ClassVar[type[ImportSettings]] = MetadataSettings
    task: ClassVar[str] = "caption"

    def __init__(self, path: str, settings: MetadataSettings) -> None:
        self._path, self._settings = Path(path), settings

    @cached_property
    def root(self) -> Path:
        """The folder, or the table's folder."""
        return self._path.parent if self._path.is_file() else self._path

    def items(self) -> Iterator[Item]:
        """One item a row, named by its image."""
        seen: dict[str, int] = {}
        for table in self._tables():
            for index, row in enumerate(self._rows(table)):
                yield self._item(table, index, row, seen)

    def _tables(self) -> list[str]:
        if self._path.is_file():
            return [self._path.name]
        found = [name for name in Root(self.root).files(TABLES) if posixpath.basename(name) in TABLES]
        if not found:
            raise InputError(f"{self._path.name} holds no {', '.join(TABLES)}; give the path of your table")
        return found

    def _rows(self, table: str) -> list[Row]:
        try:
            data = Root(self.root).read(table, self._settings.max_table)
        except Unusable as fault:
            raise InputError(f"{table}: {fault}") from None
        read = {"csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet}.get(table.rpartition(".")[2].lower())
        if read is None:
            raise InputError(f"{table} is neither .csv, .jsonl nor .parquet")
        rows = read(data, table)
        good = [row for row in rows if isinstance(row, dict)]
        columns = {str(name): None for row in good for name in row}
        if rows:
            self._settings.check(columns, table)
        return rows

    def _item(self, table: str, index: int, row: Row, seen: dict[str, int]) -> Item:
        try:
            if isinstance(row, Unusable):
                raise row
            names = [name for column in self._settings.image for name in names_in(row.get(column) or "", column)]
            cells = {name: row.get(name) for name in self._settings.wanted()}
            digest = digest_of(cells)
        except Unusable as fault:
            record = f"{table}#{index + 1}"
            return Item(record, (), {"fault": (fault.reason, fault.detail)}, digest_of([fault.reason, fault.detail]))
        files = [posixpath.join(posixpath.dirname(table), name) for name in names]
        record = files[0] if seen.setdefault(files[0], 0) == 0 else f"{files[0]}#{seen[files[0]] + 1}"
        seen[files[0]] += 1
        return Item(record, tuple(files), {"row": cells}, digest)

    def found(self, item: Item) -> Iterator[Found]:
        """The row's pair."""
        if "fault" in item.data:
            raise Unusable(*item.data["fault"])
        pictures = tuple(Picture(name) for name in item.files)
        yield found_in(item.data["row"], pictures, self._settings, self._settings.task or self.task)


def read_csv(data: bytes, table: str) -> list[Row]:
    """Rows of a CSV with a header; a row that is not UTF-8 or has too many or too few cells is unusable."""
    text = data.decode("utf-8-sig", "surrogateescape")
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), strict=False)
    rows: list[Row] = []
    try:
        head = next(reader, [])
        for cells in reader:
            if cells:
                rows.append(_csv_row(head, cells))
    except csv.Error as error:
        rows.append(Unusable("bad_row", str(error)))
    return rows


def _csv_row(head: list[str], cells: list[str]) -> Row:
    if len(cells) != len(head):
        return Unusable("bad_row", f"{len(cells)} cells under {len(head)} columns")
    if any("\ud800" <= sign <= "\udfff" for cell in cells for sign in cell):
        return Unusable("bad_encoding", "not UTF-8")
    return {name: cell if cell else None for name, cell in zip(head, cells, strict=True)}


def read_jsonl(data: bytes, table: str) -> list[Row]:
    """Rows of JSON lines; a line that is no object is unusable."""
    return [_json_row(line) for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]


def _json_row(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        return Unusable("bad_encoding", "not UTF-8")
    except (ValueError, RecursionError) as error:
        return Unusable("bad_json", str(error)[:200])
    return row if isinstance(row, dict) else Unusable("bad_json", f"a {type(row).__name__}, not an object")


def read_parquet(data: bytes, table: str) -> list[Row]:
    """Rows of a Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_table(io.BytesIO(data)).to_pylist())
    except (pa.ArrowException, OSError, ValueError, ArithmeticError) as error:  # a date may be out of Python's range
        raise InputError(f"{table} is not readable Parquet: {' '.join(str(error).split())[:200]}") from None
