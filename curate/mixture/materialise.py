"""A plan's samples as shards of their own, in plan order: for trainers that know no plan.

The result is the stage `shards`, so `curate shards verify`, `curate publish` and plain webdataset take it. A
sample keeps its bytes; its key becomes its place in the plan, since a sample may stand there repeatedly.
"""

import json
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from curate.engine import Partition, PartWriter, Progress, StageManifest
from curate.engine import run as run_stage
from curate.mixture.cells import Ints
from curate.mixture.facts import PICTURE
from curate.mixture.tokens import BadRecord
from curate.settings import Settings
from curate.shards.planning import ShardSettings
from curate.shards.plans import Place, Plan
from curate.shards.tar import BLOCK, END
from curate.shards.writing import Written, key_of, write_samples
from curate.storage import Folder, sha256

SHARDS = "shards"
OPEN_FILES = 64
"""Shards that a worker keeps open."""


@dataclass(frozen=True)
class Stretch:
    """Places of the plan's order that become one shard."""

    start: int
    stop: int


def materialise(
    plan: Plan, settings: ShardSettings | None = None, workers: int = 1, progress: Progress | None = None
) -> StageManifest:
    """Writes PLAN/shards; a killed run goes on where it stopped, equal plans give equal bytes.

    A sample that is damaged in its source is rejected, and the rest goes on.
    """
    settings = settings or ShardSettings()
    inputs = {"plan": plan.digest}
    return run_stage(Materialise(settings, plan), partitions(plan, settings), plan.folder / SHARDS, inputs, workers, progress)


def partitions(plan: Plan, settings: ShardSettings) -> list[Partition[Stretch]]:
    """The plan cut into shards of at most `max_mb` and `max_episodes`; fingerprints are of the samples' content."""
    return [Partition(_content(plan, stretch), stretch) for stretch in stretches(sample_bytes(plan), settings)]


def sample_bytes(plan: Plan) -> Ints:
    """[N] bytes that each sample of the order takes in a tar."""
    sizes = plan.members.column("size").to_numpy()
    stored = BLOCK + -(-sizes // BLOCK) * BLOCK
    reached = np.concatenate([[0], np.cumsum(stored)])
    first = plan.samples.column("first").to_numpy()
    total: Ints = reached[first + plan.samples.column("members").to_numpy()] - reached[first]
    return total[plan.order]


def stretches(sizes: Ints, settings: ShardSettings) -> Iterator[Stretch]:
    """Shards as long as they may be; a sample that is larger than a shard has one of its own."""
    reached = np.concatenate([[0], np.cumsum(sizes)])
    room = int(settings.max_mb * 1_000_000) - len(END)
    start = 0
    while start < len(sizes):
        stop = int(np.searchsorted(reached, reached[start] + room, side="right")) - 1
        if settings.max_episodes:
            stop = min(stop, start + settings.max_episodes)
        stop = max(stop, start + 1)
        yield Stretch(start, stop)
        start = stop


def _content(plan: Plan, stretch: Stretch) -> str:
    """Hash of the checksums and sizes of all members in a stretch, in order."""
    numbers = plan.order[stretch.start : stretch.stop]
    first = plan.samples.column("first").to_numpy()[numbers]
    lengths = plan.samples.column("members").to_numpy()[numbers].astype(np.int64)
    ends = np.cumsum(lengths)
    rows = np.arange(ends[-1]) + np.repeat(first - (ends - lengths), lengths)
    columns = (plan.members.column(name).to_numpy()[rows].astype("<i8").tobytes() for name in ("size", "crc32"))
    return sha256(b"".join([str(stretch.start).encode(), lengths.astype("<i8").tobytes(), *columns]))


class Materialise:
    """The stage: one stretch of the plan in, one tar and its index out."""

    name, version = SHARDS, "plan-1"

    def __init__(self, settings: ShardSettings, plan: Plan) -> None:
        self.settings: Settings = settings
        self._plan = plan

    def setup(self) -> None:
        """Starts with no shard open."""
        self._files = OpenShards(self._plan)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_files"}

    def process(self, payload: Stretch, part: PartWriter) -> None:
        """Writes one shard; a sample whose bytes are not those that the plan states is rejected."""
        write_samples(self._samples(payload, part), part)

    def _samples(self, payload: Stretch, part: PartWriter) -> Iterator[Written]:
        for place in range(payload.start, payload.stop):
            part.saw()
            try:
                record, members = self._files.sample(int(self._plan.order[place]))
            except BadRecord as error:
                part.reject(key_of(place), error.reason, error.detail)
            else:
                yield key_of(place), record, members


class OpenShards:
    """Samples of a plan by number, from shards that stay open for a while."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._open: OrderedDict[int, IO[bytes]] = OrderedDict()

    def sample(self, number: int) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
        """The record, and all members as (suffix, bytes); BadRecord when one is damaged."""
        places = self._plan.places(number)
        start, stop = places[0].offset, places[-1].offset + places[-1].size
        shard = self._plan.shard_of(number)
        block = self._read(shard, start, stop)
        parts = [block[place.offset - start : place.offset - start + place.size] for place in places]
        for place, data in zip(places, parts, strict=True):
            self._check(number, place, data)
        record = _record(parts[0], len(parts) - 1)
        return record, list(zip(["json", *record["members"]], parts, strict=True))

    def _check(self, number: int, place: Place, data: bytes) -> None:
        if len(data) != place.size or zlib.crc32(data) != place.crc32:
            name = self._plan.shards[self._plan.shard_of(number)][1]
            raise BadRecord(
                "damaged", f"{name}: {self._plan.key(number)}, bytes {place.offset} to {place.offset + place.size}"
            )

    def _read(self, shard: int, start: int, stop: int) -> bytes:
        folder, name, _ = self._plan.shards[shard]
        if not folder.is_local:
            return folder.ranges([name], [start], [stop])[0]
        return os.pread(self._file(shard, folder, name).fileno(), stop - start, start)

    def _file(self, shard: int, folder: Folder, name: str) -> IO[bytes]:
        if shard not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[shard] = folder.local(name).open("rb", buffering=0)
        self._open.move_to_end(shard)
        return self._open[shard]


def _record(data: bytes, pictures: int) -> dict[str, Any]:
    """KEY.json with the suffixes of the pictures; BadRecord where these cannot be names of members."""
    record = json.loads(data)  # its checksum is that of a record that the catalogue has read
    suffixes = record["members"]
    if len(suffixes) != pictures or not all(PICTURE.fullmatch(suffix) for suffix in suffixes):
        raise BadRecord("member_mismatch", f"{len(suffixes)} names, {pictures} pictures")
    assert isinstance(record, dict)
    return record
