"""Small shards with a plan over them, made byte by byte: what the loader's tests read and damage."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.shards.index import ShardIndex
from curate.shards.plans import BANDS, COUNTS, FORMAT, NAMES, Plan, PlanManifest, PlanSource, samples_schema, write_plan
from curate.shards.tar import TarSink
from curate.storage import Folder, table_bytes


@dataclass(frozen=True)
class Made:
    """Shards on a disk and a plan over all their samples."""

    folder: Path
    plan: Plan
    pictures: dict[str, tuple[bytes, ...]]  # key -> bytes of its pictures


MakePlan = Callable[..., Made]


def write_shard(folder: Folder, name: str, samples: Sequence[tuple[str, Sequence[bytes]]]) -> None:
    """A tar and its index in the library's own format."""
    with folder.open_atomic(f"{name}.tar") as out:
        sink = TarSink(out)
        for key, pictures in samples:
            members = [("json", json.dumps({"key": key}).encode()), *((f"{at}.jpg", data) for at, data in enumerate(pictures))]
            sink.add(key, members)
        sink.close()
    folder.write(f"{name}.index.parquet", table_bytes(sink.index()))


def plan_over(folder: Folder, shards: Sequence[str], blocks: Sequence[int] | None = None, order: Sequence[int] | None = None,
              place: str = "../shards", at: Folder | None = None) -> Plan:  # fmt: skip
    """A plan over all samples of some shards, in order, unless told otherwise."""
    rows, members = [], []
    for number, shard in enumerate(shards):
        for sample in ShardIndex.load(folder, shard).samples():
            rows.append({"key": sample[0].key, "shard": number, "first": len(members), "members": len(sample)})
            members += [{"offset": m.offset, "size": m.size, "crc32": m.crc32} for m in sample]
    words, numbers = dict.fromkeys(NAMES, ""), dict.fromkeys([*COUNTS, *BANDS], 0)
    filled = [{**row, **words, **numbers, "replay": False} for row in rows]
    columns = {name: [row[name] for row in filled] for name in samples_schema().names}
    samples_table = pa.table({f.name: pa.array(columns[f.name]).cast(f.type) for f in samples_schema()})
    sizes = tuple(folder.size(shard) for shard in shards)
    source = PlanSource("made", place, "d", tuple(shards), sizes)
    order = order if order is not None else range(len(rows))
    manifest = PlanManifest(FORMAT, 0, {}, (source,), tuple(blocks or [len(order)]), {})
    return write_plan(at or folder / "../plan", manifest, np.array(order), samples_table, pa.Table.from_pylist(members))


@pytest.fixture
def make_plan(tmp_path: Path) -> MakePlan:
    def make(samples: int = 24, shards: int = 3, blocks: Sequence[int] | None = None) -> Made:
        folder, pictures = Folder.of(tmp_path / "shards"), {}
        for shard in range(shards):
            keys = [f"{at:08d}" for at in range(samples * shard // shards, samples * (shard + 1) // shards)]
            made = [(key, tuple(f"{key}/{at}".encode() * (7 * at + 3) for at in range(int(key) % 4))) for key in keys]
            write_shard(folder, f"part-{shard:05d}", made)
            pictures.update(made)
        names = [f"part-{shard:05d}.tar" for shard in range(shards)]
        plan = plan_over(folder, names, blocks, at=Folder.of(tmp_path / "plan"))
        return Made(tmp_path / "shards", plan, pictures)

    return make
