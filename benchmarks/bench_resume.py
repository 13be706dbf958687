"""Memory over an epoch of a million episodes, and the time to the first batch wherever a run is resumed.

    python benchmarks/bench_resume.py [--episodes 1000000] [--model DIR]

The plan has a million rows over real shards of 400 eight-shot episodes, each of which stands in it 2,500
times; lengths are drawn (100 to 1,300 tokens), or measured with the processor in --model. The epoch is walked
by its index: order, packing and dealing, nothing read. Each resume is a fresh process that opens the plan,
checks its files, starts two workers, and waits for one micro-batch: decoded pictures, or with --model what a
trainer gets.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import torch  # noqa: E402
from bench_shards import make_run  # noqa: E402
from common import say_machine  # noqa: E402

from curate.images import open_rgb  # noqa: E402
from curate.shards import write_shards  # noqa: E402
from curate.shards.index import ShardIndex  # noqa: E402
from curate.shards.plans import BANDS, COUNTS, FORMAT, NAMES, Plan, PlanManifest, PlanSource, samples_schema, write_plan  # noqa: E402
from curate.storage import Folder  # noqa: E402
from train.data.lengths import Lengths  # noqa: E402
from train.data.loader import Loader, LoaderSettings  # noqa: E402
from train.data.records import Assemble, Fault, Row  # noqa: E402
from train.data.steps import Cursor, RowLimits, Rows, dealt, steps  # noqa: E402

IMPORTED = time.perf_counter() - BEGAN
SETTINGS = LoaderSettings(batch=8, max_tokens=4096, max_images=64)
PLACES = (0.0, 0.1, 0.5, 0.9, 0.99)


class Pictures:
    """Decodes every picture of the rows."""

    def __call__(self, rows: list[Row]) -> int:
        pixels = 0
        for row in rows:
            for episode in row:
                if not isinstance(episode, Fault):
                    pixels += sum(torch.from_numpy(np.array(open_rgb(data))).numel() for data in episode.sample.images)
        return pixels


def make_plan(folder: Path, rows: int) -> Plan:
    run = make_run(folder / "run", 400, 200)
    write_shards(run)
    shards = run.shards
    names = [name for name in shards.names() if name.endswith(".tar")]
    samples, members = [], []
    for number, name in enumerate(names):
        for sample in ShardIndex.load(shards, name).samples():
            samples.append({"key": sample[0].key, "shard": number, "first": len(members), "members": len(sample)})
            members += [{"offset": m.offset, "size": m.size, "crc32": m.crc32} for m in sample]
    blank = {**dict.fromkeys(NAMES, ""), **dict.fromkeys([*COUNTS, *BANDS], 0), "replay": False}
    columns = {f.name: pa.array([{**blank, **row}[f.name] for row in samples]).cast(f.type) for f in samples_schema()}
    source = PlanSource("bench", str(shards.local()), "d", tuple(names), tuple(shards.size(name) for name in names))
    order = np.random.default_rng(0).integers(0, len(samples), rows)
    blocks = tuple(rows * (at + 1) // 64 for at in range(64))
    manifest = PlanManifest(FORMAT, 0, {}, (source,), blocks, {})
    return write_plan(Folder.of(folder / "plan"), manifest, order, pa.table(columns), pa.Table.from_pylist(members))


def drawn_lengths(plan: Plan) -> Lengths:
    dice = np.random.default_rng(1)
    images = dice.integers(1, 10, plan.samples.num_rows)
    return Lengths.of({"tokens": 60 + images * dice.integers(60, 140, len(images)), "images": images})


def mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def walk(plan: Plan) -> None:
    rows = Rows(plan, 0, SETTINGS.window, drawn_lengths(plan), RowLimits(SETTINGS.max_tokens, SETTINGS.max_images))
    began, samples, marks = time.perf_counter(), 0, []
    for step in steps(rows, SETTINGS.batch, Cursor(), epochs=1):
        dealt(step.rows, 4, [rows.images_of(row) for row in step.rows])
        samples += sum(len(row) for row in step.rows)
        if samples >= len(plan) * len(marks) / 10:
            marks.append(mb())
    seconds = time.perf_counter() - began
    print(f"\nindex of {samples:,} episodes walked in {seconds:.1f} s ({samples / seconds:,.0f} episodes/s)")
    print("resident MB at every tenth of the epoch: " + " ".join(f"{mark:.0f}" for mark in marks))
    print(f"grown from the first tenth to the end: {marks[-1] - marks[1]:+.1f} MB")


def wired(plan: Plan, model: str) -> tuple[Assemble, Lengths]:
    """What makes batches, and lengths; with a model what a trainer has."""
    if not model:
        return Pictures(), drawn_lengths(plan)
    from train.data.collate import Collate
    from train.data.lengths import measure
    from train.data.rendering import Renderer, RenderSettings

    renderer = Renderer.load(model, RenderSettings(max_tokens=SETTINGS.max_tokens, max_images=SETTINGS.max_images))
    return Collate(renderer), measure(plan, renderer)


def resume(place: float, folder: Path, model: str) -> None:
    before = time.perf_counter()
    assemble, lengths = wired(Plan.open(folder / "plan"), model)
    began = time.perf_counter()
    plan = Plan.open(folder / "plan")
    loader = Loader(plan, assemble, SETTINGS, lengths)
    state = {**loader.state().as_json(), "window": int(loader.rows.windows * place)}
    with Loader(plan, assemble, SETTINGS, lengths, state=state) as loader:
        next(iter(loader))
        print(json.dumps({"first": time.perf_counter() - began, "imports": IMPORTED + began - before}))


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--episodes", type=int, default=1_000_000)
    asked.add_argument("--resume", type=float)
    asked.add_argument("--folder", type=Path)
    asked.add_argument("--model", default="")
    asked.add_argument("--rounds", type=int, default=3)
    args = asked.parse_args()
    if args.resume is not None:
        return resume(args.resume, args.folder, args.model)
    say_machine()
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(Path(folder), args.episodes)
        walk(plan)
        if args.model:
            wired(plan, args.model)  # lengths are measured once, before any run
        print(
            f"\n{'resumed at':>10} {'first batch, s (median of ' + str(args.rounds) + ')':>32} {'imports, processor, s':>22}"
        )
        for place in PLACES:
            command = [sys.executable, __file__, "--resume", str(place), "--folder", folder, "--model", args.model]
            told = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(args.rounds)]
            first, imports = (float(np.median([each[name] for each in told])) for name in ("first", "imports"))
            print(f"{place:>10.0%} {first:>32.2f} {imports:>22.1f}")
    return None


if __name__ == "__main__":
    main()
