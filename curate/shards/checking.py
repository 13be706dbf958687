"""Whether shards are what their manifest says, to the byte, and if not: which file, which member, where.

Every shard is read once, member by member along its index: headers are compared with those that follow
from name and size, data with its CRC-32, padding and end with zeros, the whole with its SHA-256.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from curate.engine import MANIFEST, RECEIPTS, StageManifest
from curate.errors import InputError, IntegrityError
from curate.shards.index import INDEX, TAR, Member, ShardIndex, index_name
from curate.shards.reading import load_manifest, shards_folder
from curate.shards.release import RELEASE, Release
from curate.shards.tar import BLOCK, END, header, member_names, padded
from curate.storage import Folder, sha256

CHUNK = 1 << 20
MANY = 20
"""No more faults than this are listed for one shard."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be."""

    file: str  # name inside the place
    kind: str  # missing, extra, truncated, damaged, missing_member, extra_member, mismatch
    member: str = ""  # name inside the tar, "" where the fault is not in a member
    offset: int = -1  # byte of the file where the damaged stretch begins, -1 when there is no such byte
    detail: str = ""

    def __str__(self) -> str:
        where = f" at byte {self.offset}" if self.offset >= 0 else ""
        member = f", member {self.member}" if self.member else ""
        return f"{self.file}{member}: {self.kind.replace('_', ' ')}{where}" + (f" ({self.detail})" if self.detail else "")


def verify(place: "str | os.PathLike[str] | Folder", say: Say | None = None) -> list[Fault]:
    """All faults of a run's shards, of a shards' folder or of a published version; [] when it is sound.

    `say` hears the name of every shard once it is checked. Raises InputError where there is no manifest.
    """
    folder = shards_folder(place)
    manifest = load_manifest(folder)
    sizes = folder.sizes()
    faults = [*_released(folder), *_self_consistent(folder, manifest), *_extra(sizes, manifest)]
    for name in sorted(manifest.files):
        if name not in sizes:
            faults.append(Fault(name, "missing"))
        elif name.endswith(TAR):
            faults += _check_shard(folder, manifest, name, sizes[name])
        else:
            faults += _check_file(folder.read(name), name, manifest.files[name])
        if name.endswith(TAR) and index_name(name) not in manifest.files:
            faults.append(Fault(index_name(name), "missing", detail="the manifest does not list it"))
        if say and name.endswith(TAR):
            say(name)
    return faults


def _extra(sizes: dict[str, int], manifest: StageManifest) -> Iterator[Fault]:
    for name in sorted(sizes):
        if name.endswith((TAR, INDEX)) and name not in manifest.files:
            yield Fault(name, "extra", detail="the manifest does not know it")


def _check_file(data: bytes, name: str, digest: str) -> Iterator[Fault]:
    if sha256(data) != digest:
        yield Fault(name, "damaged", detail="its SHA-256 is not the manifest's")


def _released(folder: Folder) -> Iterator[Fault]:
    """A published version lists its manifest and card too."""
    if not folder.exists(RELEASE):
        return
    try:
        release = Release.load(folder)
    except IntegrityError as error:
        yield Fault(RELEASE, "damaged", detail=str(error))
        return
    for name, entry in release.files.items():
        if name.endswith((TAR, INDEX)):
            continue  # the manifest answers for them
        if not folder.exists(name):
            yield Fault(name, "missing")
        else:
            yield from _check_file(folder.read(name), name, entry.sha256)


def _self_consistent(folder: Folder, manifest: StageManifest) -> Iterator[Fault]:
    """The manifest against itself and, in a run, against the receipts it was made from."""
    if sum(part.get("out", 0) for part in manifest.parts) != manifest.counts.get("out"):
        yield Fault(MANIFEST, "mismatch", detail="its parts do not sum up to its counts")
    for part in manifest.parts:
        receipt = f"{RECEIPTS}/{part.get('name')}.json"
        if folder.exists(receipt) and not _agrees(folder.read(receipt), manifest):
            yield Fault(MANIFEST, "mismatch", detail=f"{receipt} states other files")


def _agrees(receipt: bytes, manifest: StageManifest) -> bool:
    try:
        files = json.loads(receipt)["files"].items()
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return all(manifest.files.get(name) == digest for name, digest in files)


def _check_shard(folder: Folder, manifest: StageManifest, shard: str, size: int) -> list[Fault]:
    try:
        index = ShardIndex.load(folder, shard)
    except (InputError, IntegrityError):  # reported by itself; the shard can still be hashed
        return _hash_alone(folder, shard, manifest.files[shard])
    faults = list(_counted(manifest, index))
    with folder.open(shard) as file:
        sha = hashlib.sha256()
        found = list(_walk(file, index, sha))
    if size != index.tar_bytes:
        with folder.open(shard) as file:
            found = list(_membership(file, index)) or found
    if not found and sha.hexdigest() != manifest.files[shard]:
        found = [Fault(shard, "mismatch", detail="sound, but its SHA-256 is not the manifest's")]
    return faults + found[:MANY] + _cut(shard, found)


def _cut(shard: str, found: list[Fault]) -> list[Fault]:
    more = len(found) - MANY
    return [Fault(shard, "damaged", detail=f"and {more} more faults")] if more > 0 else []


def _hash_alone(folder: Folder, shard: str, digest: str) -> list[Fault]:
    sha = hashlib.sha256()
    with folder.open(shard) as file:
        while chunk := file.read(CHUNK):
            sha.update(chunk)
    sound = sha.hexdigest() == digest
    return [] if sound else [Fault(shard, "damaged", detail=f"no member can be named, for {index_name(shard)} is unusable")]


def _counted(manifest: StageManifest, index: ShardIndex) -> Iterator[Fault]:
    part = index.shard.removesuffix(TAR)
    planned = next((entry.get("out") for entry in manifest.parts if entry.get("name") == part), None)
    held = sum(1 for _ in index.samples())
    if planned != held:
        yield Fault(index.shard, "mismatch", detail=f"its index has {held} episodes, the manifest {planned}")


def _walk(file: IO[bytes], index: ShardIndex, sha: "hashlib._Hash") -> Iterator[Fault]:
    """Faults along the index, in order; `sha` has seen the whole file when the walk ends without a truncation."""
    for member in index.members:
        block = file.read(BLOCK + padded(member.size))
        sha.update(block)
        if len(block) < BLOCK + padded(member.size):
            yield Fault(index.shard, "truncated", member.name, member.offset - BLOCK + len(block), "the file ends here")
            return
        yield from _check_member(index.shard, member, memoryview(block))
    tail = file.read(len(END))
    sha.update(tail)
    if tail != END:
        end = index.tar_bytes - len(END)
        kind = "truncated" if len(tail) < len(END) else "damaged"
        yield Fault(index.shard, kind, "", end, "the end of the archive")
    if file.read(1):
        yield Fault(index.shard, "damaged", "", index.tar_bytes, "bytes after the end of the archive")


def _check_member(shard: str, member: Member, block: memoryview) -> Iterator[Fault]:
    start, data_end = member.offset - BLOCK, BLOCK + member.size
    if block[:BLOCK] != header(member.name, member.size):
        yield Fault(shard, "damaged", member.name, start, "its header")
    if zlib.crc32(block[BLOCK:data_end]) != member.crc32:
        yield Fault(shard, "damaged", member.name, member.offset, "its data")
    elif any(block[data_end:]):
        yield Fault(shard, "damaged", member.name, start + data_end, "its padding")


def _membership(file: IO[bytes], index: ShardIndex) -> Iterator[Fault]:
    """Which members are gone or new, for an archive that somebody packed again."""
    names, closed = member_names(file)
    if not closed:
        return
    there, expected = set(names), {member.name for member in index.members}
    for member in index.members:
        if member.name not in there:
            yield Fault(index.shard, "missing_member", member.name, member.offset)
    for name in names:
        if name not in expected:
            yield Fault(index.shard, "extra_member", name)
