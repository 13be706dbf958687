"""Everything that touches a disk or an object store: folders, atomic writes, hashes, the image store.

A `Folder` is a directory anywhere fsspec reaches. Files appear in it whole or not at all: a write goes
to a temporary name and is moved into place when it is complete. A full disk is one clear error.
"""

import errno
import hashlib
import io
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from curate.errors import InputError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

TEMPORARY = ".tmp-"
"""Prefix of names that are being written; a leftover of a killed process, never read."""


def sha256(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """One byte string for equal values: sorted keys, no spaces, UTF-8; no NaN or Infinity."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def hash_json(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON of a value."""
    return sha256(canonical_json(value))


def json_lines(data: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file up to the first line that is none: what a killed process left half-written."""
    found: list[dict[str, Any]] = []
    for line in data.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(value, dict):
            break
        found.append(value)
    return found


@contextmanager
def clear_errors(where: str) -> Iterator[None]:
    """Turns the operating system's refusals into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"no space left writing {where}; free some and run again, finished parts are kept") from error
        if error.errno == errno.EFBIG:
            raise StorageError(f"{where} would be larger than files may be here (ulimit -f); raise the limit") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(f"no permission for {where}; choose another place or mend its permissions") from error
        raise


@dataclass(frozen=True)
class Folder:
    """A directory on a local disk or in an object store, named by a path or an fsspec URL."""

    uri: str

    @classmethod
    def of(cls, place: "str | os.PathLike[str] | Folder") -> "Folder":
        """The folder at a path or URL; a Folder passes through."""
        return place if isinstance(place, Folder) else cls(os.fspath(place).rstrip("/") or "/")

    def __truediv__(self, name: str) -> "Folder":
        return Folder(f"{self.uri.rstrip('/')}/{name}")

    @cached_property
    def _target(self) -> "tuple[AbstractFileSystem, str]":
        from fsspec.core import url_to_fs

        try:
            fs, path = url_to_fs(self.uri)
        except (ImportError, ValueError) as error:
            raise InputError(f"cannot open {self.uri}: {error}") from None
        return fs, path

    @property
    def is_local(self) -> bool:
        """Whether files here can be locked and memory-mapped."""
        return "://" not in self.uri or self.uri.startswith("file://")

    def local(self, name: str = "") -> Path:
        """The path of a file here; StorageError in an object store, which has none."""
        if not self.is_local:
            raise StorageError(f"{self.uri} is not a local folder; copy it to a disk first")
        return Path(self._target[1]) / name

    def open_atomic(self, name: str, durable: bool = True) -> "Atomic":
        """A binary file that appears under `name` when the block ends without an error.

        `durable` waits until a local disk has the bytes, which guards against a power cut; a killed
        process loses nothing either way.
        """
        return Atomic(self, name, durable)

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Writes a whole file atomically."""
        with self.open_atomic(name, durable) as out:
            out.write(data)

    def open(self, name: str) -> IO[bytes]:
        """A readable binary file; InputError when it is not there."""
        fs, path = self._target
        try:
            opened: IO[bytes] = fs.open(f"{path}/{name}", "rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise InputError(f"{self.uri}/{name} does not exist") from None
        return opened

    def read(self, name: str) -> bytes:
        """A whole file; InputError when it is not there."""
        if self.is_local:
            try:
                return self.local(name).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise InputError(f"{self.uri}/{name} does not exist") from None
        with self.open(name) as file:
            return file.read()

    def ranges(self, names: list[str], starts: list[int], stops: list[int]) -> list[bytes]:
        """Bytes `starts[i]` to `stops[i]` of file `names[i]`, fetched at once where the store can; shorter at a file's end."""
        fs, path = self._target
        found: list[bytes] = fs.cat_ranges([f"{path}/{name}" for name in names], starts, stops, on_error="raise")
        return found

    def exists(self, name: str = "") -> bool:
        """Whether a file or directory of that name is here."""
        if self.is_local:
            return self.local(name).exists()
        fs, path = self._target
        return bool(fs.exists(f"{path}/{name}" if name else path))

    def refresh(self) -> None:
        """Forgets listings of an object store, so that what other processes wrote since is seen."""
        if not self.is_local:
            self._target[0].invalidate_cache()

    def size(self, name: str) -> int:
        """Bytes of a file, -1 when it is not there."""
        fs, path = self._target
        try:
            return int(fs.info(f"{path}/{name}")["size"])
        except FileNotFoundError:
            return -1

    def sizes(self) -> dict[str, int]:
        """Bytes of every file below here by relative name, in one listing."""
        fs, path = self._target
        if not fs.exists(path):
            return {}
        start = len(path.rstrip("/")) + 1
        return {str(name)[start:]: int(info["size"]) for name, info in fs.find(path, detail=True).items()}

    def names(self) -> list[str]:
        """Relative names of all files below here, sorted, temporary ones left out."""
        fs, path = self._target
        if not fs.exists(path):
            return []
        found = (str(name)[len(path.rstrip("/")) + 1 :] for name in fs.find(path))
        return sorted(name for name in found if not name.rpartition("/")[2].startswith(TEMPORARY))

    def remove(self, name: str) -> None:
        """Removes a file; nothing happens when it is not there."""
        fs, path = self._target
        if fs.exists(f"{path}/{name}"):
            fs.rm_file(f"{path}/{name}")

    def clean(self) -> None:
        """Removes what a killed process left half-written. Only while nobody else writes here."""
        if self.is_local and self.local().is_dir():
            for left in self.local().rglob(f"{TEMPORARY}*"):
                left.unlink(missing_ok=True)

    def __getstate__(self) -> dict[str, str]:
        return {"uri": self.uri}  # the cached file system stays in its process


class Atomic:
    """Context manager behind `Folder.open_atomic`: commits on success, discards on any error."""

    def __init__(self, folder: Folder, name: str, durable: bool = True) -> None:
        self._folder, self._name, self._durable = folder, name, durable
        self._place = f"{folder.uri}/{name}"
        self._temporary: Path | None = None
        self._file: Any = None

    def __enter__(self) -> IO[bytes]:
        with clear_errors(self._place):
            self._file = self._open_local() if self._folder.is_local else self._open_remote()
        opened: IO[bytes] = self._file
        return opened

    def _open_local(self) -> Any:
        final = self._folder.local(self._name)
        final.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = final.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        return self._temporary.open("w+b")

    def _open_remote(self) -> Any:
        return tempfile.NamedTemporaryFile(prefix=TEMPORARY)  # uploaded whole when the block ends

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with clear_errors(self._place):
            try:
                if kind is None:
                    self._commit()
            finally:
                self._discard()
        if isinstance(error, OSError):
            with clear_errors(self._place):
                raise error

    def _commit(self) -> None:
        self._file.flush()
        if self._temporary is None:
            fs, path = self._folder._target
            fs.makedirs(f"{path}/{self._name}".rpartition("/")[0], exist_ok=True)
            fs.put_file(self._file.name, f"{path}/{self._name}")
            return
        if self._durable:
            os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._folder.local(self._name))

    def _discard(self) -> None:
        self._file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


def table_bytes(table: "pa.Table") -> bytes:
    """An Arrow table as Parquet; equal tables give equal bytes."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=4096)
    return buffer.getvalue()


def read_table(folder: Folder, name: str) -> "pa.Table":
    """A Parquet file as an Arrow table; InputError when it is not readable Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = folder.read(name)
    try:
        return pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{folder.uri}/{name} is not readable Parquet: {' '.join(str(error).split())}") from None


@dataclass(frozen=True)
class ImageStore:
    """Images by content: `<first two digits>/<sha256>.<extension>`, original bytes, each stored once."""

    folder: Folder
    _known: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def at(cls, place: "str | os.PathLike[str] | Folder") -> "ImageStore":
        """The image store in a folder."""
        return cls(Folder.of(place))

    def put(self, data: bytes, extension: str) -> str:
        """Stores image bytes and returns their ref; storing them again costs a look."""
        ref = f"{sha256(data)}.{extension}"
        if ref not in self._known and not self.folder.exists(self.name_of(ref)):
            self.folder.write(self.name_of(ref), data, durable=False)
        self._known.add(ref)
        return ref

    def get(self, ref: str) -> bytes:
        """The original bytes of an image; InputError when it is not stored."""
        return self.folder.read(self.name_of(ref))

    def __contains__(self, ref: str) -> bool:
        return self.folder.exists(self.name_of(ref))

    @staticmethod
    def name_of(ref: str) -> str:
        """Where an image lies inside the store's folder."""
        return f"{ref[:2]}/{ref}"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_known": set()}
