"""Where pages lie: a folder, one file, or an archive that is read without being unpacked.

A place gives bytes by name. Names are relative POSIX paths that cannot leave the place, whatever a page, a
link on the disk or an archive says.
"""

import os
import shutil
import stat
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.errors import InputError
from curate.sources.archives import BadMember, Catalogue, Limits, Refused, inflate, is_archive, is_seekable
from curate.storage import clear_errors, sha256

PAGE_SUFFIXES = (".html", ".htm", ".xhtml", ".xht", ".shtml")


class Unreadable(Exception):
    """A file of a place that cannot be read; `reason` is missing, outside_source, too_large, truncated or corrupt."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Place(ABC):
    """Files by name. `label` is what records call the place; `path` never enters a record."""

    path: Path
    label: str

    @abstractmethod
    def names(self) -> list[str]:
        """All files, sorted."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether a file of that name can be read."""

    @abstractmethod
    def read(self, name: str, most: int) -> bytes:
        """A file of at most `most` bytes; Unreadable when it cannot be had."""

    def pages(self) -> list[str]:
        """Names of the pages, sorted."""
        return [name for name in self.names() if name.lower().endswith(PAGE_SUFFIXES)]

    def close(self) -> None:  # noqa: B027  # most places hold nothing open
        """Lets go of open files."""


@dataclass(frozen=True)
class FolderPlace(Place):
    """A directory. Links that lead out of it, devices and pipes are not read."""

    def names(self) -> list[str]:
        """All regular files below the folder; links to folders are not followed."""
        found = []
        for here, _, files in os.walk(self.path):
            inside = os.path.relpath(here, self.path)
            found += [name if inside == "." else f"{inside}/{name}".replace(os.sep, "/") for name in files]
        return sorted(name for name in found if _writable(name) and self.has(name))

    def has(self, name: str) -> bool:
        """Whether it is a regular file inside the folder, links resolved."""
        try:
            return self._checked(name) is not None
        except Unreadable:
            return False

    def read(self, name: str, most: int) -> bytes:
        """A file's bytes."""
        path = self._checked(name)
        try:
            with path.open("rb") as file:
                data = file.read(most + 1)
        except OSError as error:
            raise Unreadable("unreadable", error.strerror or "") from None
        if len(data) > most:
            raise Unreadable("too_large", f"more than {most} bytes")
        return data

    def _checked(self, name: str) -> Path:
        path = self.path / name
        try:
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) or _through_links(self.path, name):
                root, path = self.path.resolve(), path.resolve(strict=True)
                if root not in path.parents:
                    raise Unreadable("outside_source", name)
                mode = path.stat().st_mode
        except (OSError, ValueError, RuntimeError):
            raise Unreadable("missing", name) from None
        if not stat.S_ISREG(mode):
            raise Unreadable("missing", f"{name} is no regular file")
        return path


def _through_links(root: Path, name: str) -> bool:
    """Whether a folder on the way to a file is a link."""
    steps = name.split("/")[:-1]
    return any((root / "/".join(steps[: i + 1])).is_symlink() for i in range(len(steps)))


def _writable(name: str) -> bool:
    """Whether a file's name can be written down as text."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class FilePlace(FolderPlace):
    """One page with its pictures beside it: the folder is the page's, the only page is `page`."""

    page: str = ""

    def pages(self) -> list[str]:
        """The one page."""
        return [self.page]


@dataclass(frozen=True)
class ArchivePlace(Place):
    """A `.zip` or an uncompressed `.tar`, read member by member."""

    limits: Limits = field(default_factory=Limits)
    _open: dict[str, Catalogue] = field(default_factory=dict, compare=False, repr=False)

    def catalogue(self, refused: Refused | None = None) -> Catalogue:
        """The open archive; `refused` hears of every member that is left aside."""
        if "it" not in self._open:
            self._open["it"] = Catalogue(self.path, self.limits, refused or (lambda *_: None))
        return self._open["it"]

    def names(self) -> list[str]:
        """All harmless members."""
        return sorted(self.catalogue().members)

    def has(self, name: str) -> bool:
        """Whether the archive has a harmless member of that name."""
        return name in self.catalogue().members

    def read(self, name: str, most: int) -> bytes:
        """A member's bytes."""
        member = self.catalogue().members.get(name)
        if member is None:
            raise Unreadable("missing", name)
        if member.size > most:
            raise Unreadable("too_large", f"{member.size} bytes")
        try:
            return member.read()
        except BadMember as error:
            raise Unreadable(error.reason, error.detail) from None

    def close(self) -> None:
        """Closes the archive."""
        for opened in self._open.values():
            opened.close()
        self._open.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "label": self.label, "limits": self.limits, "_open": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            object.__setattr__(self, key, value)


@contextmanager
def places_of(sources: list[str], limits: Limits, refused: Refused) -> Iterator[list[Place]]:
    """The places of the sources given, open while the block lasts. InputError for one that is not there.

    A compressed tar cannot be read at random: it is inflated to one temporary file, never to its members.
    """
    labels: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="curate-") as scratch:
        found = [_place(source, labels, limits, Path(scratch), refused) for source in sources]
        try:
            yield found
        finally:
            for place in found:
                place.close()
            shutil.rmtree(scratch, ignore_errors=True)


def _place(source: str, labels: set[str], limits: Limits, scratch: Path, refused: Refused) -> Place:
    path = Path(source)
    label = _label(path, labels)
    if path.is_dir():
        return FolderPlace(path, label)
    if not path.is_file():
        raise InputError(f"{source} does not exist; give HTML files, folders or archives of pages")
    if not is_archive(path):
        return FilePlace(path.parent, label, page=path.name)
    if not is_seekable(path):
        with clear_errors(f"a temporary copy of {path.name} in TMPDIR"):
            path = inflate(path, scratch / f"{len(labels)}.tar", limits, refused)
    place = ArchivePlace(path, label, limits)
    place.catalogue(lambda name, reason, detail: refused(f"{label}/{name}" if name != path.name else label, reason, detail))
    return place


def _label(path: Path, taken: set[str]) -> str:
    """The last step of the path, made unique: records must not know the machine."""
    name = path.resolve().name or "source"
    label, number = name, 1
    while label in taken:
        number += 1
        label = f"{name}-{number}"
    taken.add(label)
    return label


def digest(place: Place, name: str, most: int) -> str:
    """SHA-256 of a file's bytes, or why it has none."""
    try:
        return sha256(place.read(name, most))
    except Unreadable as error:
        return error.reason
