"""What every stage was trained with: steps, pictures, hours, from the logs of its runs."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pipelines.headline.settings import Experiment
from pipelines.jobs.paces import log_rows, steps_done


@dataclass(frozen=True)
class Trained:
    """Means over the seeds of a stage."""

    steps: float
    pictures: float  # shown in all steps, repeats counted
    hours: float  # of computing


def trained_stages(experiment: Experiment, out: Path) -> dict[str, Trained]:
    """Stage -> what it was trained with, of the seeds that have a log."""
    found = {}
    for stage in experiment.stages:
        runs = [out / "runs" / f"{stage}-{seed}" for seed in experiment.seeds_of(stage)]
        if known := [trained(run) for run in runs if (run / "metrics.jsonl").is_file()]:
            figures = zip(*((one.steps, one.pictures, one.hours) for one in known), strict=True)
            found[stage] = Trained(*map(fmean, figures))
    return found


def trained(run: Path) -> Trained:
    """One run: a row of the log sums up the steps since the row before it."""
    before, pictures, seconds = 0, 0.0, 0.0
    for row in (row for row in log_rows(run) if row.get("kind") == "train"):
        took = float(row.get("step_s") or 0.0) * (int(row["step"]) - before)
        pictures += took * float(row.get("images_per_s") or 0.0)
        seconds += took
        before = int(row["step"])
    return Trained(steps_done(run), round(pictures), seconds / 3600)
