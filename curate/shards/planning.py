"""Which episodes go into which shard, decided before any image is read.

The plan needs three things only: the episodes' Parquet columns, the stored sizes of the images they name,
and an upper bound of each episode's JSON computed column-wise. So a shard never passes its limit, and its
content depends on the data and the settings, never on who writes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from curate.engine import Partition, SourcePart, StageManifest
from curate.errors import InputError
from curate.schema import Episode, arrow_schema
from curate.settings import Settings
from curate.shards.tar import BLOCK, END
from curate.storage import Folder, ImageStore, hash_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Counts = npt.NDArray[np.int64]

NUMBER_BYTES = 26
"""No JSON integer of 64 bits and no shortest-form double is longer, a comma included."""

BYTES_PER_IMAGE = 48
"""Bound of what one image adds to the JSON beside the episode: its index and its member's suffix."""

BYTES_PER_EPISODE = 64


class ShardSettings(Settings):
    """How episodes are cut into shards."""

    max_mb: float = Field(default=256, gt=0, le=1_000_000)
    """No shard is larger than this many million bytes, unless a single episode is."""

    max_episodes: int = Field(default=0, ge=0)
    """No shard holds more episodes than this; 0 for no limit."""


@dataclass(frozen=True)
class Slice:
    """Rows of one part of the episodes; `first` is the number of its first row among all episodes."""

    part: SourcePart
    digest: str
    start: int
    stop: int
    first: int


@dataclass(frozen=True)
class ShardPlan:
    """The episodes of one shard."""

    slices: tuple[Slice, ...]
    bound: int  # bytes that the shard will not pass
    fingerprint: str

    @property
    def episodes(self) -> int:
        """How many episodes are planned for the shard."""
        return sum(piece.stop - piece.start for piece in self.slices)


def plan(episodes: Folder, images: ImageStore, settings: ShardSettings) -> list[ShardPlan]:
    """The shards of a finished episodes stage, in order; InputError when it holds no episode."""
    shards: list[ShardPlan] = []
    growing = _Growing()
    for row in _rows(episodes, images):
        if growing.full(row.bytes, settings):
            shards.append(growing.close())
            growing = _Growing()
        growing.add(row)
    if growing.count:
        shards.append(growing.close())
    if not shards:
        raise InputError(f"{episodes.uri} holds no episode, so there is nothing to write; build episodes first")
    return shards


def partitions(plans: list[ShardPlan]) -> list[Partition[ShardPlan]]:
    """The plan as the engine's units of work."""
    return [Partition(shard.fingerprint, shard) for shard in plans]


@dataclass(frozen=True, slots=True)
class _Row:
    part: SourcePart
    digest: str
    row: int
    number: int
    bytes: int
    images: tuple[tuple[str, int], ...]  # ref and stored size: a picture mended later makes another shard


class _Growing:
    """A shard while it is being filled."""

    def __init__(self) -> None:
        self.count, self.bytes = 0, len(END)
        self._slices: list[Slice] = []
        self._images: dict[str, int] = {}

    def full(self, more: int, settings: ShardSettings) -> bool:
        """Whether an episode of `more` bytes belongs into the next shard."""
        too_many = settings.max_episodes and self.count >= settings.max_episodes
        return bool(self.count and (too_many or self.bytes + more > settings.max_mb * 1_000_000))

    def add(self, row: _Row) -> None:
        last = self._slices[-1] if self._slices else None
        if last and last.part == row.part and last.stop == row.row:
            self._slices[-1] = Slice(last.part, last.digest, last.start, row.row + 1, last.first)
        else:
            self._slices.append(Slice(row.part, row.digest, row.row, row.row + 1, row.number))
        self._images.update(row.images)
        self.count += 1
        self.bytes += row.bytes

    def close(self) -> ShardPlan:
        rows = [[piece.digest, piece.start, piece.stop, piece.first] for piece in self._slices]
        return ShardPlan(tuple(self._slices), self.bytes, hash_json([rows, sorted(self._images.items())]))


def _rows(episodes: Folder, images: ImageStore) -> Iterator[_Row]:
    manifest = StageManifest.load(episodes)
    sizes = _Sizes(images)
    number = 0
    for name in manifest.tables():
        part = SourcePart(episodes, name)
        table = episode_rows(part)
        refs = refs_by_row(table)
        bounds = json_bounds(table)
        for row, (named, bound) in enumerate(zip(refs, bounds, strict=True)):
            known = tuple((ref, sizes[ref]) for ref in named)
            json_bytes = int(bound) + BYTES_PER_EPISODE + BYTES_PER_IMAGE * len(named)
            total = _most(json_bytes) + sum(_most(max(size, 0)) for _, size in known)
            yield _Row(part, manifest.files[name], row, number, total, known)
            number += 1


def _most(size: int) -> int:
    """Bound of what a member of up to `size` bytes occupies."""
    return size + 2 * BLOCK


def episode_rows(part: SourcePart) -> "pa.Table":
    """A part of the episodes; InputError when its columns are not an Episode's."""
    table = part.table()
    if table.schema.remove_metadata() != arrow_schema(Episode):
        raise InputError(f"{part.folder.uri}/{part.name} does not hold episodes of this version; build them again")
    return table.combine_chunks()


class _Sizes:
    """Stored sizes of images, looked up once each; -1 for a missing one. An object store is listed once."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._listing = None if images.folder.is_local else images.folder.sizes()
        self._known: dict[str, int] = {}

    def __getitem__(self, ref: str) -> int:
        if ref not in self._known:
            name = self._images.name_of(ref)
            self._known[ref] = self._images.folder.size(name) if self._listing is None else self._listing.get(name, -1)
        return self._known[ref]


def refs_by_row(table: "pa.Table") -> list[list[str]]:
    """Image refs of every episode in order of appearance: demonstrations in order, then the query."""
    import pyarrow.compute as pc

    demonstrations = _one(table, "demonstrations")
    shots = pc.struct_field(pc.list_flatten(demonstrations), "images")
    of_row = pc.take(pc.list_parent_indices(demonstrations), pc.list_parent_indices(shots)).to_pylist()
    queries = pc.struct_field(_one(table, "query"), "images")
    found: list[list[str]] = [[] for _ in range(table.num_rows)]
    for images, rows in ((shots, of_row), (queries, pc.list_parent_indices(queries).to_pylist())):
        for row, ref in zip(rows, pc.struct_field(pc.list_flatten(images), "ref").to_pylist(), strict=True):
            found[row].append(ref or "")
    return found


def json_bounds(table: "pa.Table") -> "Counts":
    """A number of bytes for every row, int64 [rows], that its JSON does not pass."""
    names = sum(len(name) + 4 for name in table.schema.names)
    return _total([_bound(_one(table, name)) for name in table.schema.names]) + names + 2


def _one(table: "pa.Table", name: str) -> "pa.Array":
    import pyarrow as pa

    column = table.column(name).combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _bound(array: "pa.Array") -> "Counts":
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(array.type):
        names = sum(len(field.name) + 4 for field in array.type)
        return _total([_bound(inner) for inner in array.flatten()]) + names + 2
    if pa.types.is_list(array.type):
        lengths = _numbers(pc.list_value_length(array))
        sums: Counts = np.concatenate([[0], np.cumsum(_bound(array.flatten()))]).astype(np.int64)
        ends: Counts = np.cumsum(lengths)
        inside: Counts = sums[ends] - sums[ends - lengths]
        return inside + lengths + 2
    if pa.types.is_string(array.type):  # a quote, backslash or control character takes up to five bytes more
        return _numbers(pc.binary_length(array)) + 5 * _numbers(pc.count_substring_regex(array, r'[\x00-\x1f"\\]')) + 5
    return np.full(len(array), NUMBER_BYTES, np.int64)


def _numbers(counts: "pa.Array") -> "Counts":
    import numpy as np
    import pyarrow.compute as pc

    numbers: Counts = pc.fill_null(counts, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def _total(counts: "list[Counts]") -> "Counts":
    import numpy as np

    return np.add.reduce(counts, axis=0)  # type: ignore[no-any-return]
