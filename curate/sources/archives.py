"""Reading archives that may be hostile: members one by one, in memory, nothing is ever unpacked to disk here.

`members` walks a `.zip` or a `.tar` (plain, gzip, bzip2, xz; told by its first bytes, not by its name) and
yields the regular files whose names are harmless relative paths. Whatever is left aside is handed to
`refused(member, reason, detail)`, with one of these reasons:

unsafe_name        absolute, a drive letter, `..`, a control character, or absurdly long
link               a symbolic or hard link
special_file       a device, a pipe, a sparse file
duplicate_name     the first member of a name counts
encrypted          needs a password
nested_archive     archives inside archives stay closed
too_large          a member over `max_member` bytes
compression_ratio  expands more than `max_ratio` times
archive_too_large  all members together pass `max_total` bytes, or there are more than `max_members`
truncated, corrupt the archive ends early or contradicts itself; members before that place are good
not_an_archive     neither a zip nor a tar
"""

import bz2
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

from curate.settings import Settings

MIB = 1 << 20
LONGEST_NAME = 1024
LARGEST_HEADER = 16 * MIB  # a tar header that claims more is hostile; tarfile would read it whole
SMALL = MIB  # a ratio says nothing about members below this size
NESTED = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".whl", ".jar")
ARCHIVE_SUFFIXES = (".zip", ".whl", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""Names of files that `members` is meant for."""

Refused = Callable[[str, str, str], None]
"""Called with member name, reason and detail for everything left aside."""


class Limits(Settings):
    """How much an archive may expand to."""

    max_member: int = 512 * MIB
    max_total: int = 64 * 1024 * MIB
    max_members: int = 2_000_000
    max_ratio: float = 200.0


class BadMember(Exception):
    """A member whose bytes cannot be had; `reason` is one of the words above."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Member:
    """A regular file inside an archive. `name` is a safe relative POSIX path, `size` the stated bytes."""

    name: str
    size: int
    _open: Callable[[], IO[bytes]] = field(repr=False, compare=False)

    def open(self) -> IO[bytes]:
        """A readable stream, valid until the walk goes on; BadMember when there is none."""
        try:
            return self._open()
        except (OSError, RuntimeError, NotImplementedError, *_BROKEN) as error:
            raise BadMember(_reason(error), str(error)) from None

    def read(self) -> bytes:
        """All bytes; BadMember when they cannot be had or are not as many as stated."""
        with self.open() as stream:
            try:
                data = stream.read(self.size + 1)
            except (OSError, *_BROKEN) as error:
                raise BadMember(_reason(error), str(error)) from None
        if len(data) != self.size:
            raise BadMember("truncated" if len(data) < self.size else "corrupt", f"{len(data)} bytes, {self.size} stated")
        return data


_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, RecursionError)
"""What the standard library raises on damage; RecursionError on a tar header that extends an extension, and so on."""


def _reason(error: Exception) -> str:
    text = str(error).lower()
    early = isinstance(error, EOFError) or any(word in text for word in ("truncated", "unexpected end", "end of file"))
    return "truncated" if early else "corrupt"


def ignore(name: str, reason: str, detail: str) -> None:
    """A `refused` that tells nobody."""


def is_archive(path: Path) -> bool:
    """Whether a file is named like an archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def safe_name(name: str) -> str | None:
    """A member's name as a clean relative POSIX path, or None when it points outside or is absurd."""
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\\", "/")
    steps = [step for step in name.split("/") if step not in ("", ".")]
    drive = len(name) > 1 and name[1] == ":"
    control = any(ord(sign) < 32 or ord(sign) == 127 for sign in name)
    if not steps or name.startswith("/") or drive or control or ".." in steps or len(name) > LONGEST_NAME:
        return None
    return "/".join(steps)


def members(path: Path, limits: Limits | None = None, refused: Refused = ignore) -> Iterator[Member]:
    """The harmless regular files of an archive, in stored order. Read a member before asking for the next."""
    with ExitStack() as stack:
        yield from _members(path, limits or Limits(), refused, stack)


def _members(path: Path, limits: Limits, refused: Refused, stack: ExitStack) -> Iterator[Member]:
    guard = _Guard(limits, refused)
    try:
        file = stack.enter_context(path.open("rb"))
        yield from guard.admitted(_walk(file, limits, stack))
    except BadMember as stop:
        refused(path.name, stop.reason, stop.detail)
    except (OSError, NotImplementedError, *_BROKEN) as error:
        refused(path.name, _reason(error), f"{type(error).__name__} {error}")


class Catalogue:
    """An archive held open, its members by name in any order; for zips and uncompressed tars (`is_seekable`)."""

    def __init__(self, path: Path, limits: Limits | None = None, refused: Refused = ignore) -> None:
        self._stack = ExitStack()
        self.members = {member.name: member for member in _members(path, limits or Limits(), refused, self._stack)}

    def close(self) -> None:
        """Closes the archive; its members cannot be read any more."""
        self._stack.close()


def is_seekable(path: Path) -> bool:
    """Whether members can be read in any order: all but compressed tars."""
    with path.open("rb") as file:
        return not file.read(8).startswith(tuple(_DECOMPRESSORS))


def inflate(path: Path, target: Path, limits: Limits, refused: Refused = ignore) -> Path:
    """Writes the plain tar inside a compressed one to `target`, up to the limits and the first damage."""
    with path.open("rb") as file, target.open("wb") as out:
        head = file.read(8)
        file.seek(0)
        make = next(make for magic, make in _DECOMPRESSORS.items() if head.startswith(magic))
        stream = _Unpacked(file, make, limits)
        try:
            while chunk := stream.read(MIB):
                out.write(chunk)
                if out.tell() > limits.max_total:
                    raise BadMember("archive_too_large", f"more than {limits.max_total} bytes")
        except (BadMember, OSError, *_BROKEN) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            refused(path.name, error.reason if isinstance(error, BadMember) else _reason(error), str(error))
    return target


@dataclass(frozen=True)
class _Raw:
    """A member as the archive states it, before anybody believes it."""

    name: str
    size: int
    packed: int  # compressed bytes, 0 where unknown
    fault: str  # a reason known from the header alone, "" for a regular file
    open: Callable[[], IO[bytes]]


class _Guard:
    """Lets harmless members through and counts what they add up to."""

    def __init__(self, limits: Limits, refused: Refused) -> None:
        self._limits, self._refused = limits, refused
        self._names: set[str] = set()
        self._total = self._count = 0

    def admitted(self, raws: Iterator[_Raw]) -> Iterator[Member]:
        for raw in raws:
            self._count += 1
            if self._count > self._limits.max_members:
                raise BadMember("archive_too_large", f"more than {self._limits.max_members} members")
            name = safe_name(raw.name)
            fault = "unsafe_name" if name is None else raw.fault or self._fault(name, raw)
            if fault or name is None:
                self._refused(raw.name.encode("utf-8", "replace").decode()[:LONGEST_NAME], fault, f"{raw.size} bytes")
                continue
            self._total += raw.size
            if self._total > self._limits.max_total:
                raise BadMember("archive_too_large", f"more than {self._limits.max_total} bytes")
            self._names.add(name)
            yield Member(name, raw.size, raw.open)

    def _fault(self, name: str, raw: _Raw) -> str:
        if name in self._names:
            return "duplicate_name"
        if name.lower().endswith(NESTED):
            return "nested_archive"
        if raw.size > self._limits.max_member:
            return "too_large"
        absurd = raw.packed and raw.size > SMALL and raw.size > self._limits.max_ratio * raw.packed
        return "compression_ratio" if absurd else ""


def _walk(file: IO[bytes], limits: Limits, stack: ExitStack) -> Iterator[_Raw]:
    head = file.read(512)
    file.seek(0)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _walk_zip(stack.enter_context(zipfile.ZipFile(file)))
    if head[257:262] == b"ustar":
        return _walk_tar(stack.enter_context(tarfile.open(fileobj=file, mode="r:", tarinfo=_Header)))
    for magic, make in _DECOMPRESSORS.items():
        if head.startswith(magic):
            stream = io.BufferedReader(_Unpacked(file, make, limits), 1 << 16)
            return _walk_tar(stack.enter_context(tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header)))
    raise BadMember("not_an_archive")


def _walk_zip(archive: zipfile.ZipFile) -> Iterator[_Raw]:
    for info in archive.infolist():
        if info.is_dir():
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        fault = "link" if kind == stat.S_IFLNK else "special_file" if kind not in (0, stat.S_IFREG) else ""
        if info.flag_bits & 1:
            fault = fault or "encrypted"
        yield _Raw(info.filename, info.file_size, info.compress_size or 1, fault, partial(archive.open, info))


def _walk_tar(archive: tarfile.TarFile) -> Iterator[_Raw]:
    for info in archive:
        if info.isdir():
            continue
        fault = "link" if info.issym() or info.islnk() else "" if info.isreg() and not info.issparse() else "special_file"
        yield _Raw(info.name, info.size, 0, fault, partial(_open_in_tar, archive, info))
        archive.members.clear()  # type: ignore[attr-defined]  # tarfile remembers every header; a walk needs none of them


def _open_in_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        raise BadMember("special_file")
    return stream


class _Header(tarfile.TarInfo):
    """A tar header that does not pass over damage silently and whose extensions are bounded."""

    EXTENSIONS = (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parses one header block; BadMember when an extension claims absurdly much memory."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in cls.EXTENSIONS and header.size > LARGEST_HEADER:
            raise BadMember("corrupt", f"a header claims {header.size} bytes")
        return header

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Reads the next header; BadMember where tarfile would take damage for the end."""
        try:
            header = super().fromtarfile(archive)
        except (tarfile.TruncatedHeaderError, tarfile.EmptyHeaderError) as error:  # type: ignore[attr-defined]
            raise BadMember("truncated", str(error)) from None
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            raise BadMember("corrupt", str(error)) from None
        if header.size < 0:  # it would lead back to where the walk has been
            raise BadMember("corrupt", f"a header claims {header.size} bytes")
        return header


class _Unpacked(io.RawIOBase):
    """A compressed file's content as a stream, with bounded memory, length and ratio."""

    CHUNK = 1 << 16

    def __init__(self, file: IO[bytes], make: Callable[[], Any], limits: Limits) -> None:
        self._file, self._make, self._limits = file, make, limits
        self._machine, self._waiting = make(), b""
        self._taken = self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        self._given += len(data)
        if self._given > 64 * SMALL and self._given > self._limits.max_ratio * self._taken:
            raise BadMember("compression_ratio", f"{self._taken} bytes expand to more than {self._given}")
        return len(data)

    def _next(self, size: int) -> bytes:
        while True:
            if self._machine.eof:
                self._waiting = self._machine.unused_data or self._fresh()
                if not self._waiting.strip(b"\0"):
                    return b""
                self._machine = self._make()
            elif not self._waiting and self._hungry():
                self._waiting = self._fresh()
                if not self._waiting:
                    raise BadMember("truncated", "the compressed stream ends early")
            data: bytes = self._machine.decompress(self._waiting, size)
            self._waiting = getattr(self._machine, "unconsumed_tail", b"")
            if data:
                return data

    def _hungry(self) -> bool:
        return bool(getattr(self._machine, "needs_input", True))

    def _fresh(self) -> bytes:
        data = self._file.read(self.CHUNK)
        self._taken += len(data)
        return data


_DECOMPRESSORS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 * MIB),
}
