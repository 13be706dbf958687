"""The smallest real sweep: two runs with shards and a replay set, a tiny model, a benchmark of colours, a held-out plan."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pipelines.jobs.layers import laid_over
from pipelines.mixing import Job
from tests.mixture.small_runs import varied_run
from tests.train.evaluate.tiny_benches import letter_items, tiny_bench
from tests.train.tiny_processors import tiny_processor
from tests.train.tiny_runs import save_tiny_model

TRAIN: dict[str, Any] = {
    "model": "model",
    "steps": 4,
    "data": {"max_tokens": 640, "load": {"batch": 1, "workers": 0}},
    "parts": [{"match": "all", "train": "full"}],
    "optimizer": {"lr": 3.0e-3},
    "compute": {"dtype": "float32", "threads": 1},
    "log": {"every": 1, "tensorboard": False, "peak_tflops": 1},
    "checkpoint": {"every": 1, "keep": 1, "background": False},
    "validation": {"plan": "held", "samples": 2},
}
MIX: dict[str, Any] = {
    "size": 16,
    "tolerance": 15,
    "max_repeats": 3,
    "sources": [
        {"name": "web", "run": "web", "weight": 3},
        {"name": "art", "run": "art", "weight": 1},
        {"name": "old", "run": "old", "replay": True},
    ],
    "replay": 0.25,
    "quotas": [{"axis": "format", "within": {"replay": False}, "shares": "uniform"}],
}
SWEEP: dict[str, Any] = {
    "mix": "mix.yaml",
    "train": "train.yaml",
    "model": "model",
    "benchmarks": {"tiny": {"place": "bench/tiny", "shots": [0, 1], "limit": 2}},
    "reader": {"threads": 1},
    "mixes": {"source": {}},
    "design": {"kinds": [{"kind": "centroid"}], "runs": 5},
    "retries": 1,
}


def write_place(root: Path, draw: Callable[..., bytes]) -> Path:
    """Runs, model, benchmark and held-out plan, which no test changes."""
    for first, name in enumerate(("web", "art", "old")):
        varied_run(root / name, draw, 12, 100 * first)
    save_tiny_model(root / "model", "vicuna", tiny_processor("vicuna"))
    tiny_bench(root / "bench", letter_items(4, (0, 1)))
    held = {"sources": [{"name": "web", "run": "web"}, {"name": "art", "run": "art"}], "size": 6, "tolerance": 50}
    (root / "held.yaml").write_text(yaml.safe_dump(held))
    Job.read(root / "held.yaml", [], str(root / "held")).build(1, None)
    return root


def write_sweep(root: Path, at: Path, **more: Any) -> Path:
    """The three files of a sweep over the place, in a folder of their own; `more` is laid over them: mix_, train_, others."""
    at.mkdir(exist_ok=True)
    laid = {"mix": MIX, "train": TRAIN}
    for name in laid:
        laid[name] = laid_over(laid[name], more.pop(f"{name}_", {}))
    sources = [{**one, "run": str(root / one["run"])} for one in laid["mix"]["sources"]]
    (at / "mix.yaml").write_text(yaml.safe_dump({**laid["mix"], "sources": sources}))
    held = laid_over(laid["train"], {"validation": {"plan": str(root / "held")}})
    (at / "train.yaml").write_text(yaml.safe_dump(held))
    benches = {name: {**one, "place": str(root / one["place"])} for name, one in SWEEP["benchmarks"].items()}
    spec = {**SWEEP, "benchmarks": benches, "model": str(root / "model"), **more}
    (at / "sweep.yaml").write_text(yaml.safe_dump(spec))
    return at / "sweep.yaml"
