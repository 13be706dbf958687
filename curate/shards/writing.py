"""Episodes and their pictures into WebDataset shards: `KEY.json`, `KEY.0.jpg`, `KEY.1.png`, …

A shard is one part of the stage: `part-00000.tar` with its member index `part-00000.index.parquet`. The
stage's `manifest.json` is the shards' manifest: SHA-256 and size of every file, counts, settings, tallies.
"""

import itertools
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from curate.engine import PartWriter, Progress, StageManifest
from curate.engine import run as run_stage
from curate.errors import InputError
from curate.images import EXTENSIONS
from curate.layout import Run
from curate.settings import Settings
from curate.shards.planning import ShardPlan, ShardSettings, Slice, episode_rows, partitions, plan
from curate.shards.tar import MAX_MEMBER, TarSink
from curate.storage import ImageStore, sha256, table_bytes

REF = re.compile(rf"[0-9a-f]{{64}}\.({'|'.join(EXTENSIONS.values())})")
CACHED_BYTES = 128_000_000
"""Pictures kept in memory by a worker: popular demonstrations are read once."""

Written = tuple[str, dict[str, Any], list[tuple[str, bytes]]]
"""A sample on its way into a shard: key, record, and members as (suffix, bytes)."""

TALLIED = ("format", "task", "concept", "selector", "order", "source", "licence")


def write_shards(
    run: Run,
    settings: ShardSettings | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    images: ImageStore | None = None,
) -> StageManifest:
    """Writes RUN/shards from RUN/episodes and RUN/images, or other `images`; InputError when there are no episodes.

    Equal episodes, images and settings give equal bytes, whatever `workers` and interruptions.
    """
    settings = settings or ShardSettings()
    images = images or run.images
    inputs = {"episodes": StageManifest.load(run.episodes).digest}
    plans = plan(run.episodes, images, settings)
    return run_stage(WriteShards(settings, images), partitions(plans), run.shards, inputs, workers, progress)


class BadEpisode(Exception):
    """An episode that cannot become a sample; `reason` is a short stable word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class WriteShards:
    """The stage: one planned shard in, one tar and its index out."""

    name, version = "shards", "1"

    def __init__(self, settings: ShardSettings, images: ImageStore) -> None:
        self.settings: Settings = settings
        self._images = images

    def setup(self) -> None:
        """Starts with no picture in memory."""
        self._pictures = Pictures(self._images)

    def process(self, payload: ShardPlan, part: PartWriter) -> None:
        """Writes one shard; an episode whose picture is missing or damaged is rejected."""
        write_samples(self._samples(payload, part), part)

    def _samples(self, payload: ShardPlan, part: PartWriter) -> Iterator[Written]:
        for number, row in _numbered(payload.slices):
            part.saw()
            try:
                members = sample_members(row, self._pictures)
            except BadEpisode as error:
                part.reject(str(row["id"]), error.reason, error.detail)
            else:
                yield key_of(number), row, members


def write_samples(samples: Iterator[Written], part: PartWriter) -> None:
    """One shard: the tar, its index, and the tallies. Nothing is written when there is no sample."""
    first = next(samples, None)
    if first is None:  # an empty archive would only trip its readers
        return
    with part.open("tar") as out:
        sink = TarSink(out)
        for key, row, members in itertools.chain([first], samples):
            sink.add(key, members)
            _tally(part, row, [suffix for suffix, _ in members])
        digest = sink.close()
    part.hashed("tar", digest, records=sink.samples)
    part.file("index.parquet", table_bytes(sink.index()))


def key_of(number: int) -> str:
    """The key of the episode that stands at a place among all episodes of the run."""
    return f"{number:08d}"


def _numbered(slices: tuple[Slice, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    for piece in slices:
        rows = episode_rows(piece.part).slice(piece.start, piece.stop - piece.start)
        batches = rows.to_batches(max_chunksize=256)  # only a few at a time become Python objects
        yield from enumerate(itertools.chain.from_iterable(batch.to_pylist() for batch in batches), piece.first)


def sample_members(row: dict[str, Any], pictures: "Pictures") -> list[tuple[str, bytes]]:
    """The members of one episode, (suffix, bytes), JSON first; BadEpisode when it is not whole."""
    turns, members = [], list[tuple[str, bytes]]()
    for shot in [*row["demonstrations"], row["query"]]:
        refs = [image["ref"] for image in shot["images"]]
        turns.append(list(range(len(members), len(members) + len(refs))))
        members += [(f"{place}.{_extension(ref)}", pictures[ref]) for place, ref in enumerate(refs, len(members))]
    suffixes = [suffix for suffix, _ in members]
    record = {**row, "images": len(members), "turns": turns, "members": suffixes}
    return [("json", _json(record)), *members]


def _extension(ref: str | None) -> str:
    found = REF.fullmatch(ref or "")
    if not found:
        raise BadEpisode("bad_image_ref", str(ref)[:100])
    return found[1]


def _json(record: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise BadEpisode("not_a_number", "a similarity is NaN or infinite, which JSON cannot hold") from None
    return text.encode()


def _tally(part: PartWriter, row: dict[str, Any], suffixes: list[str]) -> None:
    """Counts of one sample what the manifest of shards sums up."""
    for kind in TALLIED:
        part.tally(kind, row[kind])
    part.tally("shots", str(len(row["demonstrations"])))
    for suffix in suffixes:
        part.tally("member", suffix)


class Pictures:
    """Original image bytes by ref, checked against their name once, the last used ones kept in memory."""

    def __init__(self, images: ImageStore, budget: int = CACHED_BYTES) -> None:
        self._images, self._budget = images, budget
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._sound: set[str] = set()
        self._bytes = 0

    def __getitem__(self, ref: str) -> bytes:
        """BadEpisode with the reason image_missing, image_damaged or image_too_large."""
        if ref in self._kept:
            self._kept.move_to_end(ref)
            return self._kept[ref]
        data = self._read(ref)
        self._kept[ref] = data
        self._bytes += len(data)
        while self._bytes > self._budget:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return data

    def _read(self, ref: str) -> bytes:
        try:
            data = self._images.get(ref)
        except InputError:
            raise BadEpisode("image_missing", ref) from None
        if ref not in self._sound and sha256(data) != ref.partition(".")[0]:
            raise BadEpisode("image_damaged", f"{ref}: the stored bytes are not those that its name states")
        if len(data) > MAX_MEMBER:
            raise BadEpisode("image_too_large", ref)
        self._sound.add(ref)
        return data
