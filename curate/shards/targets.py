"""Publishing into a folder, on a disk or behind any fsspec URL."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from curate.engine import MANIFEST
from curate.errors import InputError, StorageError
from curate.shards.release import is_version, parse_version
from curate.shards.uploads import CARD, Upload
from curate.storage import Folder, canonical_json

PARTIAL = ".partial.json"
"""Beside an unfinished version: {name: SHA-256} of what arrived, so that a repeated upload goes on."""


class FolderTarget:
    """Versions as sub-folders. Every file appears whole or not at all."""

    def __init__(self, root: Folder) -> None:
        self._root = root

    def read(self, name: str) -> bytes | None:
        """A small file, None when it is not there."""
        with clear_remote_errors(self._root.uri):
            try:
                return self._root.read(name)
            except InputError:
                return None

    def versions(self) -> list[str]:
        """Versions whose manifest is there."""
        with clear_remote_errors(self._root.uri):
            return complete_versions(self._root.names())

    def present(self, version: str, uploads: Sequence[Upload]) -> set[str]:
        """Files that the record of the interrupted upload knows and that still have their size."""
        record = self._record(version)
        with clear_remote_errors(self._root.uri):
            (self._root / version).clean()
            sizes = (self._root / version).sizes() if record else {}
        fits = (u for u in uploads if record.get(u.name) == u.entry.sha256 and sizes.get(u.name) == u.entry.size)
        return {upload.name for upload in fits}

    def batches(self, uploads: Sequence[Upload]) -> Iterator[Sequence[Upload]]:
        """One file at a time."""
        return ([upload] for upload in uploads)

    def send(self, version: str, uploads: Sequence[Upload]) -> None:
        """Copies files, hashing them on the way, and notes each in the record."""
        record = self._record(version)
        with clear_remote_errors(self._root.uri):
            for upload in uploads:
                self._copy(version, upload)
                record[upload.name] = upload.entry.sha256
                (self._root / version).write(PARTIAL, canonical_json(record))

    def _copy(self, version: str, upload: Upload) -> None:
        with (self._root / version).open_atomic(upload.name) as out:
            upload.copy_to(out)

    def finish(self, version: str, last: Sequence[Upload], card: bytes | None) -> None:
        """The last files in order, then the record goes and the target's card comes."""
        with clear_remote_errors(self._root.uri):
            for upload in last:
                self._copy(version, upload)
            (self._root / version).remove(PARTIAL)
            if card is not None:
                self._root.write(CARD, card)

    def _record(self, version: str) -> dict[str, str]:
        try:
            record = json.loads(self.read(f"{version}/{PARTIAL}") or b"{}")
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}


def complete_versions(names: Sequence[str]) -> list[str]:
    """Versions among relative file names whose manifest is there, lowest first."""
    ends = f"/{MANIFEST}"
    found = [name.removesuffix(ends) for name in names if name.endswith(ends)]
    return sorted((version for version in found if is_version(version)), key=parse_version)


@contextmanager
def clear_remote_errors(where: str) -> Iterator[None]:
    """Whatever an object store raises, as a StorageError that says that a second try goes on."""
    try:
        yield
    except OSError as error:
        detail = " ".join(str(error).split())[:300] or type(error).__name__
        raise StorageError(f"{where}: {detail}; run again when it is mended, what arrived is kept") from error
