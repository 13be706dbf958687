"""Samples of a plan by offset: one read each, from a local disk or an object store, every checksum compared.

What is wrong with the data becomes a `Fault`, the same on whatever rank reads it. What is wrong with the
road to it (a network, a missing shard) is tried again and then stops the run: skipping it would make the
order depend on the weather.
"""

import io
import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from curate.errors import InputError, StorageError
from curate.shards import Sample
from curate.shards.plans import Place, Plan
from curate.storage import Folder
from train.data.records import Fault, Loaded

DAMAGE = ("corrupt", "truncated", "corrupt_plan")
"""Reasons of faults that bytes have, whatever a model makes of them."""

OPEN_SHARDS = 128
"""Shards that a reader keeps open at a time."""

ATTEMPTS = 4
FIRST_PAUSE = 0.25
"""Seconds before the second attempt; each further one waits twice as long."""


class SampleReader:
    """Reads samples by their number in the plan. Belongs to one process; a copy sent elsewhere opens its own files."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._files: OrderedDict[int, io.FileIO] = OrderedDict()  # by shard, the last used ones

    def read(self, numbers: Sequence[int], pictures: bool = True) -> "list[Loaded | Fault]":
        """The samples in the order asked for, only their records without `pictures`. StorageError or InputError
        when shards cannot be reached."""
        spans = [self._span(number, pictures) for number in numbers]
        blocks = self._blocks([span for span in spans if not isinstance(span, Fault)])
        found = iter(blocks)
        return [span if isinstance(span, Fault) else self._sample(n, span, next(found))
                for n, span in zip(numbers, spans, strict=True)]  # fmt: skip

    def _span(self, number: int, pictures: bool = True) -> "Span | Fault":
        places, shard = self._plan.places(number), self._plan.shard_of(number)
        size = self._plan.shards[shard][2]
        position = 0
        for place in places:
            if place.offset < position or place.size < 0 or place.offset + place.size > size:
                return self._fault(number, "corrupt_plan", f"no member lies at byte {place.offset} of {place.size} bytes")
            position = place.offset + place.size
        return Span(shard, places if pictures else places[:1])

    def _sample(self, number: int, span: "Span", block: bytes) -> "Loaded | Fault":
        whole, start = memoryview(block), span.start
        if len(block) != span.stop - start:
            return self._fault(number, "truncated", f"the shard ends before byte {span.stop}")
        parts = []
        for place in span.places:
            data = bytes(whole[place.offset - start : place.offset - start + place.size])
            if zlib.crc32(data) != place.crc32:
                return self._fault(number, "corrupt", f"bytes {place.offset} to {place.offset + place.size} are damaged")
            parts.append(data)
        key, shard = self._plan.key(number), self._plan.shards[span.shard][1]
        return Loaded(number, Sample(key, shard, parts[0], tuple(parts[1:]), ()))

    def _fault(self, number: int, reason: str, detail: str) -> Fault:
        return Fault(number, self._plan.key(number), self._plan.shards[self._plan.shard_of(number)][1], reason, detail)

    def _blocks(self, spans: "Sequence[Span]") -> list[bytes]:
        """The bytes of all spans: at once where they come over a network."""
        blocks = [b""] * len(spans)
        remote: dict[str, list[int]] = {}
        for at, span in enumerate(spans):
            folder = self._plan.shards[span.shard][0]
            if folder.is_local:
                blocks[at] = self._local(span)
            else:
                remote.setdefault(folder.uri, []).append(at)
        for ats in remote.values():
            for at, block in zip(ats, self._fetch([spans[at] for at in ats]), strict=True):
                blocks[at] = block
        return blocks

    def _fetch(self, spans: "Sequence[Span]") -> list[bytes]:
        folder = self._plan.shards[spans[0].shard][0]
        names = [self._plan.shards[span.shard][1] for span in spans]
        starts, stops = [span.start for span in spans], [span.stop for span in spans]
        found = patiently(lambda: folder.ranges(names, starts, stops), folder.uri)
        if any(len(block) > span.stop - span.start for block, span in zip(found, spans, strict=True)):
            raise StorageError(f"{folder.uri} sends whole shards where a part was asked for; serve them with byte ranges")
        return found

    def _local(self, span: "Span") -> bytes:
        descriptor = self._descriptor(span.shard)
        try:
            return os.pread(descriptor, span.stop - span.start, span.start)
        except OSError as error:  # the disk, not the data: nothing is skipped for it
            folder, name, _ = self._plan.shards[span.shard]
            raise StorageError(f"{folder.uri}/{name} is not readable: {error.strerror}; run again when it is mended") from None

    def _descriptor(self, shard: int) -> int:
        if shard not in self._files:
            self._files[shard] = _opened(*self._plan.shards[shard][:2])
        self._files.move_to_end(shard)
        if len(self._files) > OPEN_SHARDS:
            self._files.popitem(last=False)[1].close()
        return self._files[shard].fileno()

    def close(self) -> None:
        """Closes all shards."""
        while self._files:
            self._files.popitem()[1].close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_plan": self._plan, "_files": OrderedDict()}


class Span:
    """The stretch of a shard that holds a sample."""

    __slots__ = ("places", "shard", "start", "stop")

    def __init__(self, shard: int, places: Sequence[Place]) -> None:
        self.shard, self.places = shard, places
        self.start, self.stop = places[0].offset, places[-1].offset + places[-1].size


def _opened(folder: Folder, name: str) -> io.FileIO:
    path = folder.local(name)
    if path.exists() and not path.is_file():  # a pipe would be waited for, for ever
        raise InputError(f"{path} is not a regular file; bring the shard back, or build the plan again")
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise InputError(f"{folder.uri}/{name} does not exist; bring the shards back, or build the plan again") from None
    except OSError as error:
        raise StorageError(f"{folder.uri}/{name} cannot be opened: {error.strerror}") from None


def patiently(fetch: Callable[[], list[bytes]], where: str) -> list[bytes]:
    """What `fetch` returns, tried a few times with growing pauses; StorageError when it keeps failing."""
    for attempt in range(ATTEMPTS):
        try:
            return fetch()
        except FileNotFoundError as error:
            raise InputError(f"{where}: a shard does not exist any more ({' '.join(str(error).split())})") from None
        except Exception as error:  # every object store raises errors of its own
            if attempt == ATTEMPTS - 1:
                detail = " ".join(str(error).split())[:300] or type(error).__name__
                raise StorageError(f"{where} is not readable: {detail}; run again and it goes on from here") from error
            time.sleep(FIRST_PAUSE * 2**attempt)
    raise AssertionError("unreachable")


def check_shards(plan: Plan) -> list[str]:
    """Looks at every shard once, before any work. InputError when one is missing; returns a line for each that
    has another size than the plan states, whose samples will be skipped as far as they are touched."""
    listings = {folder.uri: folder.sizes() for folder, _, _ in plan.shards if not folder.is_local}
    other = []
    for folder, name, expected in plan.shards:
        size = listings.get(folder.uri, {}).get(name)
        size = folder.size(name) if size is None else size
        if size < 0:
            raise InputError(f"{folder.uri}/{name} does not exist; bring the shards back, or build the plan again")
        if size != expected:
            other.append(f"{folder.uri}/{name} has {size:,} bytes, the plan states {expected:,}")
    return other
