"""A plan: which samples of which shards, in which order. The file between the mixture and the loader.

A plan copies no sample. PLAN/plan.json says what was asked for and what came of it; three uncompressed
Arrow files hold the rest and are memory-mapped, so that a plan of millions of samples costs a worker nothing:

order.arrow    sample       uint32 [N]   the plan from beginning to end; a sample may stand in it repeatedly
samples.arrow  key, shard, first, members, and what is known of each sample: source, format, shots, ... [S]
members.arrow  offset, size, crc32  [M]   where the members of each sample lie in its shard

`blocks` cut the order into stretches. Inside a block the order means nothing (a loader shuffles there);
from block to block it is the curriculum.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.errors import InputError, IntegrityError
from curate.storage import Folder, hash_json, sha256

if TYPE_CHECKING:
    import pyarrow as pa

PLAN = "plan.json"
ORDER, SAMPLES, MEMBERS = "order.arrow", "samples.arrow", "members.arrow"
FORMAT = 1

Ints = npt.NDArray[np.int64]

COUNTS = ("shots", "images", "supervised_tokens", "image_tokens")
BANDS = ("coherence", "hardness")
NAMES = ("source", "concept_type", "concept", "format", "selector", "licence")
"""What a plan knows of a sample: whole numbers, measures that may be missing (NaN), and words."""

PLACED = {ORDER: ("sample",), SAMPLES: ("key", "shard", "first", "members"), MEMBERS: ("offset", "size", "crc32")}
"""Columns that say where a sample lies; none of their values may be missing."""


@dataclass(frozen=True)
class PlanSource:
    """One set of shards that a plan draws from."""

    name: str
    place: str  # the shards' folder: a URL, or a path relative to the plan's folder
    digest: str  # of the shards' manifest
    shards: tuple[str, ...]
    sizes: tuple[int, ...]  # bytes of each shard
    replay: bool = False


@dataclass(frozen=True)
class PlanManifest:
    """plan.json: everything about a plan but its rows."""

    format: int
    seed: int
    spec: dict[str, Any]
    sources: tuple[PlanSource, ...]
    blocks: tuple[int, ...]  # where each block of the order ends; the last is the plan's length
    report: dict[str, Any]  # requested and realised shares, reasons, the curriculum block by block
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256


class Place(NamedTuple):
    """One member of a sample inside its shard."""

    offset: int  # of the data, bytes from the start of the tar
    size: int
    crc32: int


class Plan:
    """An opened plan. Cheap to open and to send to another process: its rows stay on the disk."""

    def __init__(self, folder: Folder, manifest: PlanManifest) -> None:
        self.folder, self.manifest = folder, manifest

    @classmethod
    def open(cls, place: "str | os.PathLike[str] | Folder", verify: bool = True) -> "Plan":
        """The plan in a folder; InputError when there is none, IntegrityError when a file is not as it was written."""
        folder = Folder.of(place)
        plan = cls(folder, _manifest(folder))
        if verify:
            for name, digest in plan.manifest.files.items():
                if sha256(folder.read(name)) != digest:
                    raise IntegrityError(f"{folder.uri}/{name} is damaged: it is not what {PLAN} states; build the plan again")
            plan._check()
        return plan

    def reopened(self) -> "Plan":
        """The same plan with files and connections of its own, for a process that was forked."""
        return Plan(Folder(self.folder.uri), self.manifest)

    def _check(self) -> None:
        for name, columns in PLACED.items():
            unsound = [column for column in columns if not _sound(self._table(name), column)]
            if unsound:
                raise IntegrityError(f"{self.folder.uri}/{name} has no sound column {unsound[0]!r}; build the plan again")
        samples, members = len(self.samples), len(self.members)
        sound = (
            self.manifest.blocks == tuple(sorted(self.manifest.blocks))
            and (not self.manifest.blocks or self.manifest.blocks[0] >= 0)
            and (self.manifest.blocks[-1] if self.manifest.blocks else 0) == len(self.order)
            and (not len(self.order) or int(self.order.max()) < samples)
            and (
                not samples
                or (
                    int(self._first.min()) >= 0
                    and int(self._members.min()) >= 1
                    and int(self._first.max()) <= members  # before the sum, which might overflow
                    and int((self._first + self._members).max()) <= members
                )
            )
            and (not samples or (int(self._shard.min()) >= 0 and int(self._shard.max()) < len(self.shards)))
        )
        if not sound:
            raise IntegrityError(f"{self.folder.uri} holds a plan that points outside itself; build it again")

    @property
    def digest(self) -> str:
        """Content hash: equal digests, equal order over equal samples, wherever the shards lie."""
        kept = asdict(self.manifest) | {"sources": [[s.name, s.digest, s.shards] for s in self.manifest.sources]}
        return hash_json(kept)

    def __len__(self) -> int:
        return self.manifest.blocks[-1] if self.manifest.blocks else 0

    @cached_property
    def order(self) -> npt.NDArray[np.uint32]:
        """[N] sample numbers in plan order."""
        order: npt.NDArray[np.uint32] = _column(self._table(ORDER), "sample")
        return order

    @cached_property
    def samples(self) -> "pa.Table":
        """One row a sample: key, shard, first, members, and its attributes."""
        return self._table(SAMPLES)

    @cached_property
    def members(self) -> "pa.Table":
        """One row a member: offset, size, crc32."""
        return self._table(MEMBERS)

    @cached_property
    def shards(self) -> list[tuple[Folder, str, int]]:
        """(folder, name, bytes) of every shard, as the column `shard` counts them."""
        return [(self._folder(s), *pair) for s in self.manifest.sources for pair in zip(s.shards, s.sizes, strict=True)]

    def _folder(self, source: PlanSource) -> Folder:
        if "://" in source.place or os.path.isabs(source.place) or not self.folder.is_local:
            return Folder.of(source.place)
        return Folder.of(os.path.normpath(self.folder.local(source.place)))

    @cached_property
    def _first(self) -> Ints:
        column: Ints = _column(self.samples, "first")
        return column

    @cached_property
    def _members(self) -> npt.NDArray[np.int32]:
        column: npt.NDArray[np.int32] = _column(self.samples, "members")
        return column

    @cached_property
    def _shard(self) -> npt.NDArray[np.int32]:
        column: npt.NDArray[np.int32] = _column(self.samples, "shard")
        return column

    @cached_property
    def _where(self) -> tuple[Ints, Ints, npt.NDArray[np.uint32]]:
        return _column(self.members, "offset"), _column(self.members, "size"), _column(self.members, "crc32")

    def key(self, sample: int) -> str:
        """The sample's key in its shard."""
        return str(self.samples.column("key")[sample].as_py())

    def shard_of(self, sample: int) -> int:
        """Which of `shards` holds a sample."""
        return int(self._shard[sample])

    def places(self, sample: int) -> list[Place]:
        """Where the members of a sample lie, JSON first."""
        start = int(self._first[sample])
        stop = start + int(self._members[sample])
        columns = [column[start:stop].tolist() for column in self._where]
        return [Place(*row) for row in zip(*columns, strict=True)]

    def _table(self, name: str) -> "pa.Table":
        import pyarrow as pa

        try:
            if self.folder.is_local:
                source: Any = pa.memory_map(os.fspath(self.folder.local(name)))
            else:
                source = pa.BufferReader(self.folder.read(name))
            return pa.ipc.open_file(source).read_all()
        except FileNotFoundError:
            raise InputError(f"{self.folder.uri}/{name} does not exist; build the plan again") from None
        except (pa.ArrowException, OSError) as error:
            detail = " ".join(str(error).split())
            raise IntegrityError(f"{self.folder.uri}/{name} is not readable: {detail}; build the plan again") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "manifest": self.manifest}


def write_plan(
    folder: Folder, manifest: PlanManifest, order: "npt.NDArray[Any]", samples: "pa.Table", members: "pa.Table"
) -> Plan:
    """Writes a plan; plan.json comes last, so that a plan that is there is whole. Equal content, equal bytes."""
    import pyarrow as pa

    tables = {ORDER: pa.table({"sample": pa.array(order, pa.uint32())}), SAMPLES: samples, MEMBERS: members}
    files = {name: _write(folder, name, table) for name, table in tables.items()}
    manifest = PlanManifest(**{**vars(manifest), "files": files})
    text = json.dumps(asdict(manifest), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    folder.write(PLAN, (text + "\n").encode())
    return Plan(folder, manifest)


def _write(folder: Folder, name: str, table: "pa.Table") -> str:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    whole = table.combine_chunks()
    with pa.ipc.new_file(sink, whole.schema) as out:
        out.write_table(whole, max_chunksize=max(1, whole.num_rows))  # one chunk, so that a column is one array
    data = sink.getvalue()
    folder.write(name, memoryview(data))  # type: ignore[arg-type]
    return sha256(memoryview(data))  # type: ignore[arg-type]


def samples_schema() -> "pa.Schema":
    """Columns of samples.arrow."""
    import pyarrow as pa

    words = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [("key", pa.string()), ("shard", pa.int32()), ("first", pa.int64()), ("members", pa.int32())]
        + [(name, words) for name in NAMES]
        + [(name, pa.int32()) for name in COUNTS]
        + [(name, pa.float32()) for name in BANDS]
        + [("replay", pa.bool_())]
    )


def members_schema() -> "pa.Schema":
    """Columns of members.arrow."""
    import pyarrow as pa

    return pa.schema([("offset", pa.int64()), ("size", pa.int64()), ("crc32", pa.uint32())])


def _sound(table: "pa.Table", name: str) -> bool:
    """Whether there is one such column, of whole numbers (keys: of words), without a gap."""
    import pyarrow as pa

    if table.column_names.count(name) != 1 or table.column(name).null_count:
        return False
    kind = table.schema.field(name).type
    return bool(pa.types.is_string(kind) if name == "key" else pa.types.is_integer(kind))


def _column(table: "pa.Table", name: str) -> Any:
    """A column as a numpy array over the mapped bytes."""
    import pyarrow as pa

    column = table.column(name)
    chunk = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
    return chunk.to_numpy(zero_copy_only=False)


def _manifest(folder: Folder) -> PlanManifest:
    if not folder.exists(PLAN):
        raise InputError(f"{folder.uri} holds no plan ({PLAN} is missing); make one: curate mix SPEC.yaml --out {folder.uri}")
    try:
        data = json.loads(folder.read(PLAN))
        sources = tuple(_source(row) for row in data["sources"])
        manifest = PlanManifest(**{**data, "sources": sources, "blocks": tuple(int(end) for end in data["blocks"])})
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise IntegrityError(f"{folder.uri}/{PLAN} is not a plan's manifest; build the plan again") from None
    if manifest.format != FORMAT:
        raise InputError(f"{folder.uri} holds a plan of format {manifest.format}, this version reads {FORMAT}; build it again")
    if set(manifest.files) != {ORDER, SAMPLES, MEMBERS}:
        raise IntegrityError(f"{folder.uri}/{PLAN} does not name the three files of a plan; build the plan again")
    return manifest


def _source(row: Mapping[str, Any]) -> PlanSource:
    shards: Sequence[str] = tuple(str(name) for name in row["shards"])
    sizes = tuple(int(size) for size in row["sizes"])
    if len(shards) != len(sizes):
        raise ValueError("shards and sizes differ in number")
    if any("/" in name or "\\" in name for name in shards):
        raise ValueError("a shard lies outside its folder")
    return PlanSource(str(row["name"]), str(row["place"]), str(row["digest"]), tuple(shards), sizes, bool(row["replay"]))
