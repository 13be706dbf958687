"""How fast trainings go: read from their logs, or measured with a few steps made now."""

import statistics
import subprocess
import sys
import tempfile
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.jobs.layers import Layer, dumped, laid_over

if TYPE_CHECKING:
    from curate.shards.plans import Plan
    from train.config import TrainConfig

STEPS = 4
"""Steps that a pace is measured with; the first is left out."""


def steps_done(run: Path) -> int:
    """How far a training's log has come."""
    return max((int(row.get("step", 0)) for row in log_rows(run)), default=0)


def step_seconds(run: Path) -> float | None:
    """The median pace of a training's log; None where there is none."""
    paces = [float(row["step_s"]) for row in log_rows(run) if row.get("kind") == "train" and row.get("step_s")]
    return statistics.median(paces) if paces else None


def few_steps(out: Path, config: Layer) -> list[Layer] | None:
    """The rows of a training's log, of a few steps made now in the folder `out` on the model it begins with, without the
    first step, which is slower; None where they cannot be made."""
    with tempfile.TemporaryDirectory() as place:
        few = {"out": f"{place}/run", "steps": STEPS, "validation": None, "log": {"every": 1, "tensorboard": False}}
        trial = laid_over(config, {**few, "checkpoint": {"every": STEPS, "best": None}})
        file = Path(place) / "trial.yaml"
        file.write_text(dumped(trial), encoding="utf-8")
        command = [sys.executable, "-m", "pipelines.cli", "train", str(file)]
        if subprocess.run(command, cwd=out, capture_output=True, check=False).returncode:
            return None
        return [row for row in log_rows(Path(place) / "run") if row.get("step_s")][1:] or None


def steps_of(plan: "Plan", config: "TrainConfig") -> int:
    """Steps of one pass over a plan, every sample measured."""
    from train.checkpoint import weights_of
    from train.data.lengths import measure
    from train.data.loader import rows_of
    from train.data.rendering import Renderer

    renderer = Renderer.load(weights_of(config.model).base, config.data.render)
    rows = rows_of(plan, config.data.load, measure(plan, renderer))
    return ceil(sum(len(rows.of(0, window)) for window in range(rows.windows)) / config.data.load.batch)


def log_rows(run: Path) -> list[Layer]:
    """The rows of a training's log, [] where there is none."""
    from train.metrics.logbook import read_rows

    place = run / "metrics.jsonl"
    return list(read_rows(place)) if place.is_file() else []


def clock(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 05 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
