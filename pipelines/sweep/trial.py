"""`python -m pipelines.sweep.trial ID [--until STEPS]` in a sweep's folder: one trial, mixed, trained, asked, written down.

Everything in it goes on where it was: a plan that is there is kept, training goes on from its checkpoint, answers that were
given stay. One process at a time works on a trial; another one waits for it and then finds the work done.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError, ShotcraftError
from curate.shards.plans import Plan
from curate.storage import Folder
from pipelines.console import say
from pipelines.sweep.design import TRIALS, Design, Trial, read_design
from pipelines.sweep.pool import Pool
from pipelines.sweep.results import RESULT, read_result
from pipelines.sweep.setting import Setting, train_config
from pipelines.sweep.status import reached
from pipelines.sweep.targets import realised_of, targets_of, tokens_of

if TYPE_CHECKING:
    from train.loop import Summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a trial of the sweep in the working folder; 2 or 3 for what a user can mend, 128 + N when signal N ended it."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.sweep.trial", description=__doc__)
    parser.add_argument("id", help="the trial's name")
    parser.add_argument("--until", type=int, help="steps of the rung to stop at")
    told = parser.parse_args(arguments)
    try:
        return run_trial(Path(), told.id, told.until)
    except ShotcraftError as error:
        say(f"error: {' '.join(str(error).split())}")
        return error.exit_code


def run_trial(out: Path, name: str, until: int | None = None) -> int:
    """Brings a trial to its end, or to a rung; 0, or 128 and the signal that ended it. `out` is the working folder: trainings
    name their places from there."""
    design = read_design(out)
    trial = next((one for one in design.trials if one.id == name), None)
    if trial is None:
        raise InputError(f"{out.resolve()} has no trial {name!r}; its trials stand in design.json")
    with alone(out / TRIALS / name):
        return 0 if reached(out, name, until) else _run(out, design, trial, until)


def _run(out: Path, design: Design, trial: Trial, until: int | None) -> int:
    began, setting, folder = time.monotonic(), Setting.of(design.setting), out / TRIALS / trial.id
    plan = Pool(out, setting).trial_plan(trial)
    summary = _trained(setting, trial, until)
    if summary.signal:
        return 128 + summary.signal
    evaluation = folder / "evaluation" / f"step-{summary.step:06d}"
    if setting.benchmarks:
        _ask(setting, folder / "run", evaluation)
    targets = targets_of(setting, folder / "run", evaluation, summary.step)
    whole = summary.step >= summary.steps
    took = time.monotonic() - began
    _write(out, trial, _result(read_result(out, trial.id), design, plan, folder, summary, targets, took))
    if whole and not design.spec.get("keep", True):
        shutil.rmtree(folder / "run" / "checkpoints", ignore_errors=True)
    return 0


def _trained(setting: Setting, trial: Trial, until: int | None) -> "Summary":
    from pipelines.training import watching
    from train.loop import train

    config = train_config({**setting.config_of(trial.id, trial.point, trial.seed), "until": until})
    with watching() as watch:
        return train(config, watch)


def _ask(setting: Setting, run: Path, evaluation: Path) -> None:
    from pipelines.sweep.asking import ask, reading
    from train.evaluate.reader import VlmReader

    ask(VlmReader.load(str(run), reading(setting)), setting, evaluation)


def _result(
    before: dict[str, Any] | None,
    design: Design,
    plan: Plan,
    folder: Path,
    summary: "Summary",
    targets: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """result.json: values at the end, or at one more rung."""
    report, known, whole = plan.manifest.report, before or {}, summary.step >= summary.steps
    rungs = [rung for rung in known.get("rungs", []) if rung["steps"] < summary.step]
    return {
        "targets": targets if whole else {},
        "realised": realised_of(plan, design.space),
        "rungs": rungs if whole else [*rungs, {"steps": summary.step, "targets": targets}],
        "steps": summary.step,
        "tokens": tokens_of(folder / "run"),
        "seconds": round(known.get("seconds", 0.0) + seconds, 1),
        "skipped_steps": summary.skipped,
        "size": report["size"],
        "sources": {
            name: {key: one[key] for key in ("samples", "drawn", "repeats")} for name, one in report["sources"].items()
        },
        "off": [row for row in report["requested"] if row["reason"]],
    }


def _write(out: Path, trial: Trial, result: dict[str, Any]) -> None:
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    Folder.of(out / TRIALS / trial.id).write(RESULT, (text + "\n").encode())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time in a trial's folder; the others wait. The lock ends with the process."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
