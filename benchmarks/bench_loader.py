"""Samples/s of the loader beside webdataset, litdata and mosaicml-streaming: same photographs, one run.

    pip install --no-deps --target rivals -r benchmarks/rivals.txt
    PYTHONPATH=rivals python benchmarks/bench_loader.py [--data DIR] [--rounds 5] [--tables own,pillow]

336 px JPEGs, 2 workers, warm page cache. Contenders take turns, each time in a fresh process, and the median
round counts. The first epoch includes the start of the workers; the repeated one is the next in the same process.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from common import say_machine
from loader_data import Data, prepare
from loader_rivals import BATCH, CONTENDERS, DECODERS, WORKERS, convert

NEEDED = {
    "shotcraft": ("train.data.loader", "train.data.pictures", "pyarrow"),
    "webdataset": ("webdataset",),
    "litdata": ("litdata",),
    "mosaicml-streaming": ("streaming",),
}
NEEDS = {"webdataset": "webdataset", "litdata": "litdata", "mosaicml-streaming": "streaming"}
OURS = "shotcraft"

Figures = dict[str, float]


def child(name: str, data: Data, kind: str, decoder: str) -> Figures:
    """Both epochs in this process, and a sum over the pixels of a third that shows that all deliver the same."""
    import torch

    torch.set_num_threads(1)
    for module in (*NEEDED[name], "torchvision.io", "PIL.JpegImagePlugin"):
        importlib.import_module(module)  # nobody's imports are timed
    began = time.perf_counter()
    epochs = CONTENDERS[name](data, kind, decoder)
    figures = {"first": time.perf_counter() - began}
    for epoch in ("first", "repeated"):
        began, images = time.perf_counter(), 0
        for batch in epochs():
            if not images:
                figures[f"{epoch} batch"] = time.perf_counter() - began
            assert (batch.dtype, *batch.shape[1:]) == (torch.uint8, 3, 336, 336)
            images += len(batch)
        figures[epoch] = figures.get(epoch, 0.0) + time.perf_counter() - began
        assert images == data.facts["images"], f"{name} delivered {images} images"
    return figures


def checksum(name: str, data: Data, kind: str, decoder: str) -> Figures:
    """A sum over all pixels of an epoch: equal when all samples were delivered, and decoded alike."""
    return {"sum": sum(int(batch.sum()) for batch in CONTENDERS[name](data, kind, decoder)())}


def in_fresh_process(name: str, asked: argparse.Namespace, kind: str, decoder: str, what: str) -> Figures:
    job = json.dumps([name, kind, decoder, what])
    sizes = ["--singles", str(asked.singles), "--episodes", str(asked.episodes)]
    command = [sys.executable, __file__, "--data", str(asked.data), *sizes, "--job", job]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    if run.returncode:
        raise RuntimeError(f"{name}, {kind}, {decoder}: {run.stderr[-2000:]}")
    figures: Figures = json.loads(run.stdout.strip().splitlines()[-1])
    return figures


def table(asked: argparse.Namespace, names: list[str], data: Data, kind: str, decoder: str) -> None:
    facts = data.facts
    sums = {name: in_fresh_process(name, asked, kind, decoder, "sum")["sum"] for name in names}
    rounds: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(asked.rounds):
        for name in names:
            rounds[name].append(in_fresh_process(name, asked, kind, decoder, "time"))
    whose = "each with its own decoder" if decoder == "own" else f"all with {decoder}"
    print(f"\n{kind}, batches of {BATCH[kind]}, {whose}; median of {asked.rounds} rounds (least and most)\n")
    print("| loader | first epoch, samples/s | ratio | repeated epoch, samples/s | ratio | first batch, ms | same pixels |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for name in names:
        cells = [cell for epoch in ("first", "repeated") for cell in _rates(rounds, name, epoch, facts["samples"])]
        batch = median(figures["first batch"] for figures in rounds[name]) * 1000
        same = "yes" if sums[name] == sums[names[0]] else f"{sums[name] / sums[names[0]]:.6f}"
        print(f"| {name} | {' | '.join(cells)} | {batch:.0f} | {same} |", flush=True)


def _rates(rounds: dict[str, list[Figures]], name: str, epoch: str, samples: float) -> tuple[str, str]:
    """Samples/s, and ours divided by it: above 1 is ours ahead."""
    rates = {who: [samples / figures[epoch] for figures in rows] for who, rows in rounds.items()}
    mine, first = median(rates[name]), median(rates.get(OURS, rates[name]))
    return f"{mine:,.0f} ({min(rates[name]):,.0f}-{max(rates[name]):,.0f})", f"{first / mine:.2f}"


def decoders(data: Data, rounds: int) -> None:
    """What one core decodes, and whether the pixels are those of `open_rgb`."""
    import numpy as np
    import torch
    from loader_data import samples_of
    from loader_rivals import planes

    from curate.images import open_rgb

    torch.set_num_threads(1)
    jpegs = [image for sample in samples_of(data)[:300] for image in sample.images]
    ways: dict[str, Callable[[bytes], object]] = {"open_rgb": lambda jpeg: planes(np.array(open_rgb(jpeg))), **_installed()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, decode in ways.items():
            began = time.process_time()
            for jpeg in jpegs:
                decode(jpeg)
            times[name].append((time.process_time() - began) / len(jpegs))
    print("\n| decoder to uint8 CHW | ms | a core, pictures/s | bytes as open_rgb |\n|---|---:|---:|---|")
    for name, decode in ways.items():
        same = all(bool((ways["open_rgb"](jpeg) == decode(jpeg)).all()) for jpeg in jpegs[:100])  # type: ignore[attr-defined]
        print(f"| {name} | {median(times[name]) * 1000:.2f} | {1 / median(times[name]):,.0f} | {'yes' if same else 'no'} |")


def _installed() -> dict[str, Callable[[bytes], object]]:
    return {name: decode for name, decode in DECODERS.items() if name != "simplejpeg" or find_spec("simplejpeg")}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--singles", type=int, default=4096)
    parser.add_argument("--episodes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tables", default="own,pillow,torchvision,simplejpeg")
    parser.add_argument("--only", default=",".join(CONTENDERS))
    parser.add_argument("--job")
    asked = parser.parse_args()
    if asked.job:
        answer(asked)
    elif asked.data:
        compare(asked)
    else:
        with tempfile.TemporaryDirectory() as folder:
            asked.data = Path(folder)
            compare(asked)


def answer(asked: argparse.Namespace) -> None:
    """The work of a fresh process."""
    name, kind, decoder, what = json.loads(asked.job)
    data = prepare(asked.data, asked.singles, asked.episodes)[kind]
    figures = (child if what == "time" else checksum)(name, data, kind, decoder)
    print("\n" + json.dumps(figures), flush=True)


def compare(asked: argparse.Namespace) -> None:
    names = [name for name in asked.only.split(",") if name not in NEEDS or find_spec(NEEDS[name])]
    sets = prepare(asked.data, asked.singles, asked.episodes)
    say_machine("torch", "pillow", "torchvision", "simplejpeg", "webdataset", "litdata", "mosaicml-streaming")
    if {"litdata", "mosaicml-streaming"} <= set(names):
        convert(sets["singles"], ("jpeg", "bytes"))
        convert(sets["episodes"], ("bytes",))
    for kind, data in sets.items():
        facts = data.facts
        print(f"{kind}: {facts['samples']:,} samples, {facts['images']:,} JPEGs of {facts['mean_bytes'] / 1000:.1f} KB")
    print(f"{WORKERS} workers, warm page cache; ratio: ours divided by theirs")
    decoders(sets["singles"], asked.rounds)
    for decoder in asked.tables.split(","):
        for kind, data in sets.items():
            if kind == "singles" or decoder in ("pillow", "simplejpeg"):
                table(asked, names, data, kind, decoder)


if __name__ == "__main__":
    main()
