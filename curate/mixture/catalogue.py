"""The catalogue: one row for every sample of a source, with what a mixture asks about and where it lies.

Only the shards' indexes and the KEY.json members are read, never a picture. A catalogue is a stage folder named
by the content of the shards and the way tokens are counted, so several plans can share it and a changed source
is scanned anew.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from curate.engine import Partition, PartWriter, Progress, StageManifest
from curate.engine import run as run_stage
from curate.errors import IntegrityError
from curate.mixture.facts import WORDS, facts
from curate.mixture.sources import Source
from curate.mixture.tokens import BadRecord, TokenCounter
from curate.settings import Settings
from curate.shards.index import Member, ShardIndex, index_name
from curate.shards.plans import BANDS, COUNTS
from curate.storage import Folder, hash_json, sha256

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 256
"""Members that are asked of an object store together."""


class CatalogueSettings(Settings):
    """What shapes a catalogue beside the shards."""

    tokens: str
    """Name of the token counter."""
    counter: str
    """Digest of the token counter."""


@dataclass(frozen=True)
class Scanned:
    """A shard that is to be scanned."""

    folder: Folder
    shard: str
    index_digest: str  # as the shards' manifest states it, "" where it does not


class Catalogue:
    """The stage: one shard in, one table of its samples out."""

    name, version = "catalogue", "1"

    def __init__(self, counter: TokenCounter) -> None:
        self.settings: Settings = CatalogueSettings(tokens=counter.name, counter=counter.digest)
        self._counter = counter

    def setup(self) -> None:
        """Nothing to load: the counter came along."""

    def process(self, payload: Scanned, part: PartWriter) -> None:
        """Reads every KEY.json of a shard; what is damaged or no episode is rejected."""
        import pyarrow as pa

        rows = []
        for members, data in _records(payload):
            part.saw()
            try:
                rows.append(_row(members, data, self._counter))
            except BadRecord as error:
                part.reject(f"{payload.shard}:{members[0].key}", error.reason, error.detail)
        part.table(pa.Table.from_pylist(rows, schema=catalogue_schema()))


def scan(
    sources: Sequence[Source], counter: TokenCounter, place: Folder, workers: int = 1, progress: Progress | None = None
) -> list[Folder]:
    """The catalogue folder of every source below `place`; what is there already is not scanned again.

    InputError when a source holds no usable sample, IntegrityError when an index is damaged.
    """
    return [_scan(source, counter, place, workers, progress) for source in sources]


def _scan(source: Source, counter: TokenCounter, place: Folder, workers: int, progress: Progress | None) -> Folder:
    files = source.manifest.files
    parts = [
        Partition(hash_json([files[s], files.get(index_name(s))]), Scanned(source.folder, s, files.get(index_name(s), "")))
        for s in source.shards
    ]
    folder = place / catalogue_name(source, counter)
    run_stage(Catalogue(counter), parts, folder, {"shards": source.manifest.digest}, workers, progress)
    return folder


def catalogue_name(source: Source, counter: TokenCounter) -> str:
    """Folder name: equal names, equal content, whatever the source is called and wherever it lies."""
    return hash_json([source.manifest.digest, counter.name, counter.digest])[:16]


def rejected_in(folder: Folder) -> dict[str, int]:
    """Samples of a source that cannot stand in a plan, by reason."""
    return StageManifest.load(folder).rejected


def catalogue_schema() -> "pa.Schema":
    """Columns of a catalogue: the key, places of all members, words, counts and measures."""
    import pyarrow as pa

    places = [("offsets", pa.int64()), ("sizes", pa.int64()), ("crc32", pa.uint32())]
    return pa.schema(
        [("key", pa.string())]
        + [(name, pa.list_(kind)) for name, kind in places]
        + [(name, pa.string()) for name in WORDS]
        + [(name, pa.int32()) for name in COUNTS]
        + [(name, pa.float32()) for name in BANDS]
    )


def _row(members: tuple[Member, ...], data: bytes, counter: TokenCounter) -> dict[str, Any]:
    first = members[0]
    if first.suffix != "json":
        raise BadRecord("no_json", f"its first member is {first.suffix[:80]}")
    if len(data) != first.size or zlib.crc32(data) != first.crc32:
        raise BadRecord("damaged", f"bytes {first.offset} to {first.offset + first.size}")
    places = {
        "offsets": [member.offset for member in members],
        "sizes": [member.size for member in members],
        "crc32": [member.crc32 for member in members],
    }
    return {"key": first.key, **places, **facts(data, [member.suffix for member in members[1:]], counter)}


def _records(scanned: Scanned) -> Iterator[tuple[tuple[Member, ...], bytes]]:
    """The members of every sample, and the bytes of the first."""
    data = scanned.folder.read(index_name(scanned.shard))
    if scanned.index_digest and sha256(data) != scanned.index_digest:
        raise IntegrityError(
            f"{scanned.folder.uri}/{index_name(scanned.shard)} is damaged: its SHA-256 is not the manifest's;"
            " write the shards again (curate shards write), or pull the version again"
        )
    samples = ShardIndex.parse(data, scanned.shard).samples()
    yield from _local(scanned, samples) if scanned.folder.is_local else _remote(scanned, samples)


def _local(scanned: Scanned, samples: Iterator[tuple[Member, ...]]) -> Iterator[tuple[tuple[Member, ...], bytes]]:
    with scanned.folder.local(scanned.shard).open("rb", buffering=0) as file:
        for members in samples:
            yield members, os.pread(file.fileno(), members[0].size, members[0].offset)


def _remote(scanned: Scanned, samples: Iterator[tuple[Member, ...]]) -> Iterator[tuple[tuple[Member, ...], bytes]]:
    while some := list(islice(samples, AT_ONCE)):
        starts = [members[0].offset for members in some]
        stops = [members[0].offset + members[0].size for members in some]
        yield from zip(some, scanned.folder.ranges([scanned.shard] * len(some), starts, stops), strict=True)
