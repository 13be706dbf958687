"""A published version onto a local disk, verified while it arrives.

Nothing from the source is trusted: release.json is bounded and checked before a byte is fetched, every file
is hashed on the way and appears under its name only when it is what release.json says, and manifest.json,
which makes the folder count, comes last.
"""

import errno
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from curate.engine import MANIFEST
from curate.errors import InputError, IntegrityError, StorageError
from curate.shards.release import RELEASE, Entry, Release, parse_version
from curate.shards.targets import clear_remote_errors, complete_versions
from curate.storage import Folder

CHUNK = 1 << 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pulled:
    """What pulling did."""

    version: str
    folder: str
    fetched: tuple[str, ...]
    skipped: tuple[str, ...]  # were there and whole
    bytes_fetched: int


def pull(source: str, dest: str, version: str = "", say: Say | None = None) -> Pulled:
    """Downloads a version (by default the highest) of a published data set into the local folder `dest`.

    Goes on after an interruption: files that are there and whole are not fetched again. Raises InputError
    when there is no such version or `dest` holds something else, IntegrityError when the source sends other
    bytes than it states, StorageError when the disk is full or the network fails.
    """
    folder = Folder.of(dest)
    folder.local()  # a remote destination is refused before anything else
    place = _version_folder(Folder.of(source), version)
    with clear_remote_errors(place.uri):
        release = Release.load(place)
    if version and release.version != version:
        raise IntegrityError(f"{place.uri} calls itself version {release.version}, not {version}")
    _claim(folder, release)
    there = [name for name, entry in release.files.items() if _is_whole(folder, name, entry)]
    missing = [name for name in sorted(release.files, key=lambda name: (name == MANIFEST, name)) if name not in there]
    size = sum(release.files[name].size for name in missing)
    _check_space(folder, size)
    for done, name in enumerate(missing, 1):
        fetch(place, folder, name, release.files[name])
        if say:
            say(f"fetched {name}, {done} of {len(missing)} files")
    return Pulled(release.version, folder.uri, tuple(missing), tuple(there), size)


def _version_folder(root: Folder, version: str) -> Folder:
    with clear_remote_errors(root.uri):
        if version:
            parse_version(version)
            place = root / version
            if not place.exists(MANIFEST):
                raise InputError(f"{root.uri} has no version {version}, or it is still being uploaded")
            return place
        if root.exists(RELEASE) and root.exists(MANIFEST):
            return root
        versions = complete_versions(root.names())
    if not versions:
        raise InputError(f"{root.uri} has no published version; name its folder, or a version with --version")
    return root / versions[-1]


def _claim(folder: Folder, release: Release) -> None:
    """Makes `folder` this release's, unless it already holds something else."""
    folder.clean()
    if folder.exists(RELEASE):
        if folder.read(RELEASE) == release.encode():
            return
        raise InputError(f"{folder.uri} holds another version; pull into an empty folder")
    if folder.names():
        raise InputError(f"{folder.uri} is not empty; pull into an empty folder")
    folder.write(RELEASE, release.encode())


def _is_whole(folder: Folder, name: str, entry: Entry) -> bool:
    if folder.size(name) != entry.size:
        return False
    with folder.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256  # type: ignore[arg-type]


def _check_space(folder: Folder, size: int) -> None:
    free = shutil.disk_usage(folder.local()).free
    if size > free:
        raise StorageError(f"{size:,} bytes are to be fetched and {folder.uri} has {free:,} free; choose another place")


def fetch(place: Folder, folder: Folder, name: str, entry: Entry) -> None:
    """Downloads one file; it appears in `folder` only when its size and SHA-256 are those of `entry`."""
    with folder.open_atomic(name) as out:
        digest = hashlib.sha256()
        size = _copy(place, name, entry, out, digest)
        if size != entry.size or digest.hexdigest() != entry.sha256:
            raise IntegrityError(f"{place.uri}/{name} is not what {RELEASE} says; pull again, or tell its publisher")


def _copy(place: Folder, name: str, entry: Entry, out: IO[bytes], digest: "hashlib._Hash") -> int:
    """Bytes copied, at most one chunk more than stated."""
    size = 0
    with place.open(name) as file:
        while size <= entry.size and (chunk := _next(file, place.uri)):
            digest.update(chunk)
            out.write(chunk)
            size += len(chunk)
    return size


def _next(file: IO[bytes], where: str) -> bytes:
    try:
        return file.read(CHUNK)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageError(f"{where}: {' '.join(str(error).split())[:300]}; pull again, what arrived is kept") from error
