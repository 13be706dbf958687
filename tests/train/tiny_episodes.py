"""Small episodes with real pictures, as shards in the library's own format and a plan over them."""

import io
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image as Pillow

from curate.schema import Episode, Image, Provenance, Shot, as_json
from curate.shards.index import ShardIndex
from curate.shards.plans import BANDS, COUNTS, FORMAT, NAMES, Plan, PlanManifest, PlanSource, samples_schema, write_plan
from curate.shards.tar import TarSink
from curate.storage import Folder, sha256, table_bytes

CLASSES = ("tabby cat", "house", "red car", "bird", "bovine")
SIZES = ((40, 40), (64, 32), (30, 70), (90, 50), (120, 118))


def tiny_picture(seed: int, size: tuple[int, int] | None = None) -> bytes:
    """PNG bytes of a smooth picture of its own colours; sizes change with the seed."""
    width, height = size or SIZES[seed % len(SIZES)]
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    base = np.random.default_rng(seed).integers(0, 256, 3)
    pixels = np.stack([(base[c] + across * (c + 1) + down * (3 - c)) % 256 for c in range(3)], -1).astype(np.uint8)
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def tiny_shot(seed: int, pictures: Sequence[bytes], role: str = "positive", **more: Any) -> Shot:
    """A turn about some pictures."""
    dice, sizes = random.Random(seed), [Pillow.open(io.BytesIO(data)).size for data in pictures]
    images = tuple(Image(f"{sha256(data)}.png", *size, "0" * 16) for data, size in zip(pictures, sizes, strict=True))
    label, similarity = dice.choice(CLASSES), None if role == "query" else round(dice.random(), 3)
    question = dice.choice(("What is this called?", "Question: Which group of pictures does this one belong to?\nAnswer:", ""))
    known = {"question": question, "answer": label, "label": label, "similarity": similarity} | more
    return Shot(role=role, demonstration_id=f"d{seed}", document_id="", images=images, **known)  # type: ignore[arg-type]


def tiny_episode(seed: int, shots: int, images: int = 1, **more: Any) -> tuple[Episode, list[bytes]]:
    """An episode of `shots` demonstrations with `images` pictures a turn, and its pictures in order."""
    groups = [[tiny_picture(seed * 1000 + turn * 10 + at) for at in range(images)] for turn in range(shots + 1)]
    turns = [tiny_shot(seed * 100 + at, group, "query" if at == shots else "positive") for at, group in enumerate(groups)]
    known: dict[str, Any] = {"task": "category", "concept": "things", "format": "open_qa", "selector": "random"} | more
    episode = Episode(id=f"{seed:032x}", demonstrations=tuple(turns[:-1]), query=turns[-1], order="random", settings="0" * 16,
                      seed=0, source="tiny", licence="CC0-1.0", provenance=Provenance("tiny", str(seed)), **known)  # fmt: skip
    return episode, [data for group in groups for data in group]


def tiny_record(episode: Episode) -> dict[str, Any]:
    """KEY.json as a shard has it."""
    turns: list[list[int]] = []
    places = 0
    for shot in (*episode.demonstrations, episode.query):
        turns.append(list(range(places, places + len(shot.images))))
        places += len(shot.images)
    members = [f"{at}.png" for at in range(places)]
    return json.loads(json.dumps(as_json(episode) | {"images": places, "turns": turns, "members": members}))


def tiny_shards(folder: Folder, samples: Sequence[tuple[Mapping[str, Any], Sequence[bytes]]], shards: int = 2) -> list[str]:
    """Writes (record, pictures) into tars with indexes; the tars' names."""
    names = []
    for shard in range(shards):
        low, high = len(samples) * shard // shards, len(samples) * (shard + 1) // shards
        with folder.open_atomic(f"part-{shard:05d}.tar") as out:
            sink = TarSink(out)
            for number, (record, pictures) in enumerate(samples[low:high], low):
                members = [("json", json.dumps(record).encode()), *((f"{at}.png", data) for at, data in enumerate(pictures))]
                sink.add(f"{number:08d}", members)
            sink.close()
        folder.write(f"part-{shard:05d}.index.parquet", table_bytes(sink.index()))
        names.append(f"part-{shard:05d}.tar")
    return names


def tiny_plan(at: Folder, samples: Sequence[tuple[Mapping[str, Any], Sequence[bytes]]], shards: int = 2) -> Plan:
    """AT/shards with the samples and AT/plan over all of them, in order, as one block."""
    folder, rows, members = at / "shards", [], []
    names = tiny_shards(folder, samples, shards)
    for shard, name in enumerate(names):
        for sample in ShardIndex.load(folder, name).samples():
            rows.append({"key": sample[0].key, "shard": shard, "first": len(members), "members": len(sample)})
            members += [{"offset": m.offset, "size": m.size, "crc32": m.crc32} for m in sample]
    table = _samples(rows, [record for record, _ in samples])
    place = "../shards" if at.is_local else folder.uri
    source = PlanSource("tiny", place, "d", tuple(names), tuple(folder.size(name) for name in names))
    manifest = PlanManifest(FORMAT, 0, {}, (source,), (len(rows),), {})
    return write_plan(at / "plan", manifest, np.arange(len(rows)), table, pa.Table.from_pylist(members))


def _samples(rows: Sequence[dict[str, Any]], records: Sequence[Mapping[str, Any]]) -> pa.Table:
    plain = dict.fromkeys(NAMES, "") | dict.fromkeys([*COUNTS, *BANDS], 0) | {"replay": False}
    filled = []
    for row, record in zip(rows, records, strict=True):
        words = {name: str(record.get(name, "")) for name in ("source", "format", "concept", "selector", "licence")}
        shots = len(record["demonstrations"]) if isinstance(record.get("demonstrations"), list) else 0
        filled.append(plain | row | words | {"concept_type": str(record.get("task", "")), "shots": shots})
    schema = samples_schema()
    return pa.table({f.name: pa.array([row[f.name] for row in filled]).cast(f.type) for f in schema})


def mixed_plan(at: Folder, samples: int = 24, shots: Sequence[int] = (0, 1, 2, 4, 8)) -> Plan:
    """A plan over whole episodes with different numbers of demonstrations."""
    made = [tiny_episode(number, shots[number % len(shots)]) for number in range(samples)]
    return tiny_plan(at, [(tiny_record(episode), pictures) for episode, pictures in made])
