"""Real photographs for the loaders to read: the same JPEG bytes as our shards, as litdata chunks and as MDS.

Backgrounds are photographs of the GIMP manual and of scikit-learn, cropped and enlarged to 336 x 336;
cut-out photographs of tuxpaint stand before them, so that no two pictures are alike. JPEG of quality 90.
"""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import sample_or_skip
from PIL import Image as Pillow

from curate.shards.plans import NAMES, Plan, PlanManifest, PlanSource, members_schema, samples_schema, write_plan
from curate.shards.tar import TarSink
from curate.storage import Folder, sha256

SIDE, QUALITY = 336, 90
PER_SHARD = 256
MOST_IMAGES = 9


@dataclass(frozen=True)
class Sample:
    """What every format stores of a sample."""

    key: str
    json: bytes
    images: tuple[bytes, ...]


@dataclass(frozen=True)
class Data:
    """One set of samples in every format, made once in a folder of its own."""

    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "plan"

    @property
    def shards(self) -> list[str]:
        return sorted(str(path) for path in (self.folder / "shards").glob("*.tar"))

    def copy(self, name: str) -> Path:
        """The samples in a rival's format."""
        return self.folder / name

    @property
    def facts(self) -> dict[str, float]:
        """samples, images and mean JPEG bytes."""
        facts: dict[str, float] = json.loads((self.folder / "facts.json").read_text())
        return facts


def prepare(folder: Path, singles: int, episodes: int) -> dict[str, Data]:
    """The two sets in a folder; what is there already is kept."""
    sets = {"singles": Data(folder / f"singles-{singles}"), "episodes": Data(folder / f"episodes-{episodes}")}
    if all((data.folder / "facts.json").exists() for data in sets.values()):
        return sets
    pictures = photographs(singles)
    _write(sets["singles"], [_sample(number, (picture,)) for number, picture in enumerate(pictures)])
    _write(sets["episodes"], _episodes(pictures, episodes))
    return sets


def _episodes(pictures: list[bytes], count: int) -> list[Sample]:
    dice = np.random.default_rng(1)
    sizes = dice.integers(1, MOST_IMAGES + 1, count)
    return [
        _sample(number, tuple(pictures[place] for place in dice.integers(0, len(pictures), size)))
        for number, size in enumerate(sizes)
    ]


def _sample(number: int, images: tuple[bytes, ...]) -> Sample:
    record = {"id": f"{number:016x}", "images": len(images), "turns": [[place] for place in range(len(images))]}
    return Sample(f"{number:08d}", json.dumps(record).encode(), images)


def photographs(count: int) -> list[bytes]:
    """JPEG bytes of composed photographs, reproducible."""
    manual, stamps = sample_or_skip("gimp-help-en"), sample_or_skip("tuxpaint-stamps-default")
    backs = [_whole(path) for path in sorted(manual.rglob("*.jpg"))]
    backs = [back for back in backs if min(back.size) >= 200] + _wheel_photographs()
    fronts = [_whole(path) for path in sorted(stamps.rglob("*.png"))]
    fronts = [front for front in fronts if min(front.size) >= 80]
    dice = np.random.default_rng(0)
    return [_composed(dice, backs, fronts) for _ in range(count)]


def _whole(path: Path) -> Pillow.Image:
    with Pillow.open(path) as picture:
        return picture.convert("RGBA" if path.suffix == ".png" else "RGB")


def _wheel_photographs() -> list[Pillow.Image]:
    from sklearn.datasets import load_sample_images

    return [Pillow.fromarray(pixels) for pixels in load_sample_images().images]


def _composed(dice: np.random.Generator, backs: list[Pillow.Image], fronts: list[Pillow.Image]) -> bytes:
    back = backs[dice.integers(len(backs))]
    side = int(dice.integers(min(back.size) * 2 // 3, min(back.size) + 1))
    left, top = (int(dice.integers(0, length - side + 1)) for length in back.size)
    box = (left, top, left + side, top + side)
    picture = back.resize((SIDE, SIDE), Pillow.Resampling.LANCZOS, box)
    for _ in range(dice.integers(1, 4)):
        front = fronts[dice.integers(len(fronts))]
        scale = dice.uniform(100, 260) / max(front.size)
        front = front.resize((max(1, int(front.width * scale)), max(1, int(front.height * scale))), Pillow.Resampling.LANCZOS)
        picture.paste(front, (int(dice.integers(-40, 220)), int(dice.integers(-40, 220))), front)
    grain = dice.normal(0, dice.uniform(2, 7), (SIDE, SIDE, 3))  # what a sensor adds, and enlarging took away
    picture = Pillow.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _write(data: Data, samples: list[Sample]) -> None:
    if data.folder.exists():
        shutil.rmtree(data.folder)
    _write_shards(data, samples)
    sizes = [len(image) for sample in samples for image in sample.images]
    facts = {"samples": len(samples), "images": len(sizes), "mean_bytes": sum(sizes) / len(sizes)}
    (data.folder / "facts.json").write_text(json.dumps(facts))


def _write_shards(data: Data, samples: list[Sample]) -> None:
    """Tars, and a plan of all samples in the order of the tars."""
    place = data.folder / "shards"
    place.mkdir(parents=True)
    tables: list[pa.Table] = []
    digests = []
    for start in range(0, len(samples), PER_SHARD):
        with (place / f"part-{start // PER_SHARD:05d}.tar").open("wb") as out:
            sink = TarSink(out)
            for sample in samples[start : start + PER_SHARD]:
                images = [(f"{number}.jpg", image) for number, image in enumerate(sample.images)]
                sink.add(sample.key, [("json", sample.json), *images])
            digests.append(sink.close())
            tables.append(sink.index())
    _write_plan(data, tables, sha256("".join(digests).encode()))


def _write_plan(data: Data, indexes: list[pa.Table], digest: str) -> Plan:
    paths = [Path(shard) for shard in data.shards]
    names, sizes = tuple(path.name for path in paths), tuple(path.stat().st_size for path in paths)
    rows = list(_rows(indexes))
    source = PlanSource("bench", "../shards", digest, names, sizes)
    manifest = PlanManifest(1, 0, {}, (source,), (len(rows),), {})
    members = pa.concat_tables(index.select(["offset", "size", "crc32"]) for index in indexes).cast(members_schema())
    samples = pa.Table.from_pylist(rows, schema=samples_schema())
    return write_plan(Folder.of(data.plan), manifest, np.arange(len(rows), dtype=np.uint32), samples, members)


def _rows(indexes: list[pa.Table]) -> Iterator[dict[str, object]]:
    """A plan's row for every sample of the shards."""
    known = {**dict.fromkeys(NAMES, "bench"), "supervised_tokens": 0, "image_tokens": 0, "replay": False}
    first = 0
    for shard, index in enumerate(indexes):
        keys, counts = np.unique(np.array(index.column("key").to_pylist()), return_counts=True)
        for key, members in zip(keys.tolist(), counts.tolist(), strict=True):
            shape = {"images": members - 1, "shots": members - 2}
            yield {"key": key, "shard": shard, "first": first, "members": members, **known, **shape}
            first += members


def samples_of(data: Data) -> list[Sample]:
    """The samples as the shards hold them."""
    import webdataset

    rows = webdataset.WebDataset(data.shards, shardshuffle=False)
    return [
        Sample(row["__key__"], row["json"], tuple(row[f"{n}.jpg"] for n in range(sum(key.endswith(".jpg") for key in row))))
        for row in rows
    ]
