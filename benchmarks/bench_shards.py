"""Shard write and read beside webdataset's own writer and reader: same episodes, same bytes, one run.

    python benchmarks/bench_shards.py [--episodes 500] [--rounds 5]

Eight-shot episodes over a pool of JPEGs of 20 to 60 KB. Contenders take turns and the best round of each
counts, so that what else runs on the machine meets both. Nothing is decoded on either side.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import webdataset
from common import say_machine
from PIL import Image as Pillow

from curate.engine import Partition, PartWriter
from curate.engine import run as run_stage
from curate.layout import Run
from curate.schema import Episode, Image, Provenance, Shot, to_table
from curate.settings import Settings
from curate.shards import ShardSettings, read, verify, write_shards
from curate.shards.planning import plan
from curate.shards.tar import TarSink
from curate.storage import sha256

SHOTS = 8
SHARD_MB = 128


class Build:
    name, version = "episodes", "bench"

    def __init__(self) -> None:
        self.settings = Settings()

    def setup(self) -> None:
        pass

    def process(self, payload: list[Episode], part: PartWriter) -> None:
        part.saw(len(payload))
        part.table(to_table(payload, Episode))


def jpeg(dice: np.random.Generator) -> bytes:
    """A picture of 20 to 60 KB: smooth colours with as much noise as that takes."""
    coarse = Pillow.fromarray(dice.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize((500, 400), Pillow.Resampling.BICUBIC)
    noise = dice.normal(0, dice.uniform(4, 16), (400, 500, 3))
    out = io.BytesIO()
    Pillow.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=80)
    return out.getvalue()


def make_run(folder: Path, episodes: int, pool: int) -> Run:
    run, dice = Run.at(folder), np.random.default_rng(0)
    images = [Image(run.images.put(jpeg(dice), "jpg"), 500, 400, "0" * 16) for _ in range(pool)]

    def shot(place: int, role: str) -> Shot:
        question = "Which of these is shown?\nA: tabby cat\nB: golden retriever\nAnswer with the letter."
        shown, near = images[place], None if role == "query" else 0.71
        return Shot(role, near, f"stamps/{place}", f"page{place}", (shown,), question, "A", "tabby cat", ("tabby cat", "dog"))

    def episode(number: int) -> Episode:
        places = [int(place) for place in dice.choice(pool, SHOTS + 1, replace=False)]
        turns = tuple(shot(place, "positive") for place in places[:-1])
        origin = Provenance("stamps", str(number), ("align:0123456789ab", "episodes:0123456789ab"))
        task = ("category", "tabby cat", "multiple_choice")
        return Episode(f"{number:016x}", *task, turns, shot(places[-1], "query"), "rices", "random", "0" * 64, 0, "stamps",
                       "CC0-1.0", origin)  # fmt: skip

    built = [episode(number) for number in range(episodes)]
    parts = [built[start : start + 1000] for start in range(0, episodes, 1000)]
    run_stage(Build(), [Partition(sha256(repr(part).encode()), part) for part in parts], run.episodes)
    return run


def best(rounds: int, contenders: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """(wall seconds, processor seconds of all threads), the least of each."""
    times = dict.fromkeys(contenders, (float("inf"), float("inf")))
    for _ in range(rounds):
        for name, work in contenders.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            spent = time.perf_counter() - wall, time.process_time() - processor
            times[name] = min(times[name][0], spent[0]), min(times[name][1], spent[1])
    return times


def samples_in_memory(run: Run) -> list[tuple[str, list[tuple[str, bytes]]]]:
    return [(s.key, [("json", s.json), *zip(s.suffixes, s.images, strict=True)]) for s in read(run.root)]


def sink_writes(samples: list[tuple[str, list[tuple[str, bytes]]]], path: Path) -> None:
    with path.open("wb") as out:
        sink = TarSink(out)
        for key, members in samples:
            sink.add(key, members)
        sink.close()
        sink.index()


def webdataset_writes(samples: list[tuple[str, list[tuple[str, bytes]]]], path: Path) -> None:
    with path.open("wb") as out, webdataset.TarWriter(out, mtime=0) as writer:
        for key, members in samples:
            writer.write({"__key__": key, **dict(members)})


def stage_writes(run: Run) -> None:
    for name in run.shards.names():
        run.shards.remove(name)
    write_shards(run, ShardSettings(max_mb=SHARD_MB))


def webdataset_stage(run: Run, folder: Path) -> None:
    """What one writes by hand: episodes from Parquet, pictures from the store, ShardWriter."""
    with webdataset.ShardWriter(f"{folder}/byhand-%05d.tar", maxsize=SHARD_MB * 1e6, verbose=0, mtime=0) as writer:
        for number, episode in enumerate(_rows(run)):
            shots = [*episode["demonstrations"], episode["query"]]
            refs = [image["ref"] for shot in shots for image in shot["images"]]
            images = {f"{i}.{ref.rpartition('.')[2]}": run.images.get(ref) for i, ref in enumerate(refs)}
            writer.write({"__key__": f"{number:08d}", "json": json.dumps(episode), **images})


def _rows(run: Run) -> list[dict]:
    from curate.engine import read_stage

    return [row for table in read_stage(run.episodes) for row in table.to_pylist()]


def row(what: str, times: dict[str, tuple[float, float]], ours: str, theirs: str, episodes: int, megabytes: float) -> None:
    (mine, my_cpu), (other, other_cpu) = times[ours], times[theirs]
    cells = [f"{episodes / mine:,.0f}", f"{megabytes / mine:,.0f}", f"{episodes / other:,.0f}", f"{megabytes / other:,.0f}"]
    print(f"| {what} | " + " | ".join(cells) + f" | {other / mine:.2f} | {other_cpu / my_cpu:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--pool", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    say_machine("webdataset", "pyarrow")
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), asked.episodes, asked.pool, asked.rounds)


def compare(folder: Path, episodes: int, pool: int, rounds: int) -> None:
    run = make_run(folder / "run", episodes, pool)
    manifest = write_shards(run, ShardSettings(max_mb=SHARD_MB))
    urls = [str(run.shards.local(name)) for name in manifest.tables(".tar")]
    megabytes = sum(manifest.sizes[name] for name in manifest.tables(".tar")) / 1e6
    samples = samples_in_memory(run)
    times = best(
        rounds,
        {
            "sink": lambda: sink_writes(samples, folder / "a.tar"),
            "wds writer": lambda: webdataset_writes(samples, folder / "b.tar"),
            "read": lambda: [None for _ in read(run.root)],
            "wds read": lambda: [None for _ in webdataset.WebDataset(urls, shardshuffle=False)],
            "verify": lambda: verify(run.root),
            "plan": lambda: plan(run.episodes, run.images, ShardSettings(max_mb=SHARD_MB)),
        },
    )
    samples.clear()
    times |= best(rounds, {"stage": lambda: stage_writes(run), "wds stage": lambda: webdataset_stage(run, folder)})
    print(f"{episodes} eight-shot episodes, {megabytes:,.0f} MB in {len(urls)} shards, best of {rounds} rounds\n")
    head = ["", "Shotcraft episodes/s", "MB/s", "webdataset episodes/s", "MB/s", "ratio", "CPU ratio"]
    print(f"| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    row("write from memory (ours with SHA-256, CRC-32, index)", times, "sink", "wds writer", episodes, megabytes)
    row("write from a run (ours with hashes, checks, fsync)", times, "stage", "wds stage", episodes, megabytes)
    row("read (ours with CRC-32)", times, "read", "wds read", episodes, megabytes)
    print(f"\nverify: {megabytes / times['verify'][0]:,.0f} MB/s; planning: {episodes / times['plan'][0]:,.0f} episodes/s")


if __name__ == "__main__":
    main()
