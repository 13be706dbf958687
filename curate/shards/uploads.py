"""What publishing sends, and what it asks of a place to send it to."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from curate.errors import IntegrityError
from curate.shards.release import Entry
from curate.storage import Folder, sha256

CHUNK = 1 << 20
CARD = "README.md"
PROVENANCE = "provenance.json"


@dataclass(frozen=True)
class Upload:
    """One file to publish: made here (`data`), or lying in the run's shards (`folder`)."""

    name: str
    entry: Entry
    data: bytes | None = None
    folder: Folder | None = None

    @classmethod
    def made(cls, name: str, data: bytes) -> "Upload":
        """A file that publishing makes itself."""
        return cls(name, Entry(size=len(data), sha256=sha256(data)), data)

    def read(self) -> bytes:
        """The whole content; for small files."""
        if self.data is not None:
            return self.data
        assert self.folder is not None
        return self.folder.read(self.name)

    def copy_to(self, out: IO[bytes]) -> None:
        """Writes the content; IntegrityError at the end when it is not what its hash says."""
        digest = hashlib.sha256()
        for chunk in self._chunks():
            digest.update(chunk)
            out.write(chunk)
        self.check(digest.hexdigest())

    def check(self, digest: str) -> None:
        """IntegrityError unless `digest` is the file's."""
        if digest != self.entry.sha256:
            raise IntegrityError(f"{self.name} is not what its manifest says; see curate shards verify, then write it again")

    def _chunks(self) -> Iterator[bytes]:
        if self.folder is None:
            yield self.read()
            return
        with self.folder.open(self.name) as file:
            while chunk := file.read(CHUNK):
                yield chunk


class Target(Protocol):
    """A place that holds versions of one data set. Names are relative to it."""

    def read(self, name: str) -> bytes | None:
        """A small file, None when it is not there."""

    def versions(self) -> list[str]:
        """Versions whose manifest is there."""

    def present(self, version: str, uploads: Sequence[Upload]) -> set[str]:
        """Names among `uploads` that already arrived whole."""

    def batches(self, uploads: Sequence[Upload]) -> Iterable[Sequence[Upload]]:
        """`uploads` in the portions in which `send` shall get them."""

    def send(self, version: str, uploads: Sequence[Upload]) -> None:
        """Uploads files of a version that is not published yet."""

    def finish(self, version: str, last: Sequence[Upload], card: bytes | None) -> None:
        """Uploads the last files of a version in order, its manifest at the end, and then the target's card."""
