"""A file of predictions that grows and goes on where it stopped.

Rows are appended in chunks. What a killed process left half-written is cut off; a row whose picture has other bytes now
is taken out. Beside FILE stand FILE.meta.json (what predicted) and FILE.rejected.jsonl (pictures that could not be used).
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from curate.errors import ConfigError, StorageError
from curate.labelled import Rejected
from curate.storage import Folder, clear_errors
from train.evaluate.prediction_rows import Csv, Format, JsonLines, Prediction, Written

META, REJECTED = ".meta.json", ".rejected.jsonl"


def format_of(place: Path, labels: Sequence[str]) -> Format:
    """By the name's ending; ConfigError for any other."""
    if place.suffix.lower() == ".csv":
        return Csv(labels)
    if place.suffix.lower() in (".jsonl", ".ndjson"):
        return JsonLines()
    raise ConfigError(f"{place} ends neither in .jsonl nor in .csv; name the file after what it shall hold")


class PredictionFile:
    """One open FILE. A context manager: nobody else can open it meanwhile."""

    def __init__(self, place: Path, meta: Mapping[str, Any], labels: Sequence[str] = ()) -> None:
        """`meta` is JSON: rows made under another one do not mix. ConfigError for a name of an unknown kind."""
        self._place, self._meta, self._format = place, dict(meta), format_of(place, labels)
        self._rows: dict[str, Written] = {}
        self._lock: IO[str] | None = None

    def __enter__(self) -> "PredictionFile":
        """ConfigError when FILE holds what others predicted, or another process writes it."""
        try:
            with clear_errors(str(self._place)):
                self._place.parent.mkdir(parents=True, exist_ok=True)
                self._lock = self._beside(META).open("a+", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"cannot write {self._place} ({error.strerror}); give another --out") from None
        try:
            self._alone(self._lock)
            self._agree(self._lock)
            self._resume()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.close()

    @property
    def rows(self) -> Collection[Written]:
        """The rows that it has."""
        return self._rows.values()

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the pictures that have a row, by name."""
        return {row.image: row.sha256 for row in self._rows.values()}

    def forget(self, images: Iterable[str]) -> None:
        """Takes the rows of these pictures out."""
        gone = [image for image in images if self._rows.pop(image, None)]
        if gone:
            self._rewrite()

    def append(self, rows: Iterable[Prediction]) -> None:
        """Writes rows; they are on the disk when it returns."""
        lines = [(row, self._format.line(row)) for row in rows]
        self._extend(self._place, b"".join(line for _, line in lines))
        self._rows.update({row.image: Written(row.image, row.sha256, row.label, line) for row, line in lines})

    def reject(self, rows: Iterable[Rejected]) -> None:
        """Notes pictures that cannot be used."""
        lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows]
        self._extend(self._beside(REJECTED), "".join(lines).encode())

    def _beside(self, ending: str) -> Path:
        return self._place.with_name(self._place.name + ending)

    def _alone(self, lock: IO[str]) -> None:
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another process writes {self._place}; wait for it to end, or give another --out") from None

    def _agree(self, lock: IO[str]) -> None:
        """The meta that is there must be ours; without one there must be no file."""
        lock.seek(0)
        try:
            there = json.loads(lock.read() or "null")
        except ValueError:
            there = None
        if there is None:
            self._begin(lock)
        elif there != self._meta:
            other = ", ".join(sorted(key for key in {*there, *self._meta} if there.get(key) != self._meta.get(key)))
            raise ConfigError(
                f"{self._place} was predicted otherwise (other {other}); give another --out, or remove it and its {META[1:]}"
            )

    def _begin(self, lock: IO[str]) -> None:
        if self._place.exists():
            self._beside(META).unlink()
            raise ConfigError(f"{self._place} is there and was not made by this command; give another --out")
        lock.truncate(0)
        json.dump(self._meta, lock, indent=2, sort_keys=True, ensure_ascii=False)
        lock.flush()

    def _resume(self) -> None:
        """Reads the rows; a file that is not exactly those (torn, or a picture twice) is written anew."""
        data = self._place.read_bytes() if self._place.exists() else b""
        self._rows = {row.image: row for row in self._format.read(data)}
        if data != self._format.head + b"".join(row.line for row in self._rows.values()) or not self._place.exists():
            self._rewrite()
        Folder.of(self._place.parent).write(self._beside(REJECTED).name, b"")

    def _rewrite(self) -> None:
        whole = self._format.head + b"".join(row.line for row in self._rows.values())
        Folder.of(self._place.parent).write(self._place.name, whole)

    def _extend(self, place: Path, data: bytes) -> None:
        if not data:
            return
        with clear_errors(str(place)), place.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
