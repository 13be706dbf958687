"""Samples out of shards, one after another or by offset. This is what a trainer's loader builds upon.

Nothing in a shard is trusted: members are read where the checked index says, never past the file's end,
and every member's checksum is compared before its bytes are handed out.
"""

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

from curate.engine import MANIFEST, StageManifest
from curate.errors import InputError, IntegrityError, StorageError
from curate.schema import Episode, from_json
from curate.shards.index import TAR, Member, ShardIndex
from curate.shards.release import check_name
from curate.shards.tar import BLOCK, padded
from curate.storage import Folder

STAGE = "shards"


@dataclass(frozen=True)
class Sample:
    """One episode with the original bytes of its images in order of appearance."""

    key: str
    shard: str
    json: bytes
    images: tuple[bytes, ...]
    suffixes: tuple[str, ...]  # of the images, e.g. ("0.jpg", "1.png")

    @cached_property
    def record(self) -> dict[str, Any]:
        """KEY.json as it stands: the Episode, `images`, `turns` and `members`."""
        try:
            record = json.loads(self.json)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise IntegrityError(f"{self.shard}: {self.key}.json is not a JSON object")
        return record

    @cached_property
    def episode(self) -> Episode:
        """The episode; IntegrityError when the JSON has another shape."""
        try:
            return from_json(Episode, self.record)
        except (KeyError, TypeError):
            raise IntegrityError(f"{self.shard}: {self.key}.json does not hold an episode") from None

    @property
    def turns(self) -> list[list[int]]:
        """For every turn, demonstrations in order and then the query, the places of its images in `images`."""
        turns: list[list[int]] = self.record["turns"]
        return turns


def shards_folder(place: "str | os.PathLike[str] | Folder") -> Folder:
    """The folder that holds the shards' manifest: `place` itself, or `place/shards` when `place` is a run."""
    folder = Folder.of(place)
    inner = folder / "shards"
    return inner if not folder.exists(MANIFEST) and inner.exists(MANIFEST) else folder


def load_manifest(folder: Folder) -> StageManifest:
    """The manifest of finished shards; InputError when the folder holds none or something else."""
    manifest = StageManifest.load(folder)
    if manifest.stage != STAGE:
        raise InputError(f"{folder.uri} holds the stage {str(manifest.stage)[:40]!r}, not shards")
    maps = (manifest.files, manifest.sizes, manifest.counts, manifest.tallies)
    parts = manifest.parts if isinstance(manifest.parts, list) else [None]
    if not all(isinstance(each, dict) for each in (*maps, *parts)):
        raise IntegrityError(f"{folder.uri}/{MANIFEST} is refused: it has another shape than a manifest")
    for name in manifest.files:
        check_name(name, MANIFEST)
    return manifest


def read(place: "str | os.PathLike[str] | Folder") -> Iterator[Sample]:
    """All samples of a run, of its shards' folder or of a published version, in order.

    Raises IntegrityError, naming shard and member, at the first byte that is not as it was written.
    """
    folder = shards_folder(place)
    for shard in load_manifest(folder).tables(TAR):
        with ShardReader(folder, shard) as reader:
            yield from reader


class ShardReader:
    """Random access to one shard. Reads at a position of its own, so threads may share it on a local disk."""

    def __init__(self, folder: Folder, shard: str) -> None:
        self.shard = shard
        self.index = ShardIndex.load(folder, shard)
        self._samples = list(self.index.samples())
        self._file: IO[bytes] = _open(folder, shard)
        self._descriptor = self._file.fileno() if folder.is_local else -1
        size = folder.size(shard)
        if size < self.index.tar_bytes:
            self.close()
            raise IntegrityError(f"{shard} is truncated: {size:,} of {self.index.tar_bytes:,} bytes are there")

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return (self.sample(place) for place in range(len(self)))

    def sample(self, place: int) -> Sample:
        """The sample at a place of the shard; IntegrityError when one of its members is damaged."""
        members = self._samples[place]
        start = members[0].offset
        block = memoryview(self._read(start, members[-1].offset + members[-1].size - start))
        parts = [bytes(block[m.offset - start : m.offset - start + m.size]) for m in members]
        for member, data in zip(members, parts, strict=True):
            self._check(member, data)
        suffixes = tuple(member.suffix for member in members[1:])
        return Sample(members[0].key, self.shard, parts[0], tuple(parts[1:]), suffixes)

    def member(self, member: Member) -> bytes:
        """The bytes of one member; IntegrityError when they are damaged."""
        data = self._read(member.offset, member.size)
        self._check(member, data)
        return data

    def _check(self, member: Member, data: bytes) -> None:
        if len(data) != member.size or zlib.crc32(data) != member.crc32:
            raise IntegrityError(
                f"{self.shard}: {member.name} is damaged, bytes {member.offset} to {member.offset + member.size}"
            )

    def _read(self, offset: int, size: int) -> bytes:
        if self._descriptor >= 0:
            return os.pread(self._descriptor, size, offset)
        self._file.seek(offset)
        return self._file.read(size)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> "ShardReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read_member(place: "str | os.PathLike[str] | Folder", shard: str, offset: int, size: int) -> bytes:
    """Bytes of a member by the offset and size that an index states; IntegrityError past the shard's end."""
    folder = shards_folder(place)
    if offset < BLOCK or size < 0 or offset + padded(size) > folder.size(shard):
        raise IntegrityError(f"{shard} has no member at byte {offset} of {size} bytes")
    with _open(folder, shard) as file:
        file.seek(offset)
        return file.read(size)


def _open(folder: Folder, shard: str) -> IO[bytes]:
    try:
        return folder.local(shard).open("rb", buffering=0) if folder.is_local else folder.open(shard)
    except FileNotFoundError:
        raise InputError(f"{folder.uri}/{shard} does not exist") from None
    except PermissionError:
        raise StorageError(f"no permission to read {folder.uri}/{shard}") from None
