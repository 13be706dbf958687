"""Made-up results in the folder of a sweep, and sweeps as arrays."""

import json
from pathlib import Path

import numpy as np

from pipelines.sweep.design import Design, Trial, write_design
from pipelines.sweep.results import Observations
from pipelines.sweep.space import Choice, Space
from pipelines.sweep.surfaces import observe, surface
from pipelines.sweep.tasks import Task, task_of


def sweep(kind: str = "losses", m: int = 3, seed: int = 0, noise: float = 0.1, runs: int | None = None) -> Observations:
    """A sweep over a made-up surface."""
    return observe(surface(kind, m, seed, "tests"), runs or 4 * (m + 1), noise, seed)


def task(kind: str = "losses", m: int = 3, seed: int = 0, noise: float = 0.1, runs: int | None = None) -> Task:
    """The same, its objective ready to be fitted."""
    return task_of(sweep(kind, m, seed, noise, runs), surface(kind, m, seed, "tests").weights)


def with_choice(seen: Observations, effect: float) -> Observations:
    """Every other run takes the second of two orders, which adds `effect` to every target."""
    second = np.arange(len(seen)) % 2
    rows = np.concatenate([seen.rows, 1.0 - second[:, None], second[:, None].astype(float)], axis=1)
    space = Space(seen.space.simplices, (Choice("order", ("flat", "staged")),))
    targets = {name: values + effect * second for name, values in seen.targets.items()}
    mixes = np.array([f"{mix}-{which}" for mix, which in zip(seen.mixes, second, strict=True)])
    return Observations(space, rows, mixes, seen.seeds, targets, seen.errors)


def write_answers(out: Path, seen: Observations, weights: dict[str, float], **fit: object) -> None:
    """A sweep's folder as `curate sweep run` leaves it; one more trial failed."""
    points = [seen.space.point(row) for row in seen.rows]
    trials = [
        Trial(f"t{at:02}", f"m{seen.mixes[at]}", ("dirichlet",), int(seen.seeds[at]), point, f"t{at:02}")
        for at, point in enumerate(points)
    ]
    failed = Trial("t99", "m99", ("dirichlet",), 0, points[-1], "t99")
    write_design(out, Design({"objective": weights, "fit": fit}, seen.space, "m0", (*trials, failed)))
    for at, trial in enumerate(trials):
        folder = out / "trials" / trial.id
        folder.mkdir(parents=True)
        targets = {name: {"value": float(values[at]), "error": None} for name, values in seen.targets.items()}
        shares = {axis: dict(named) for axis, named in trial.point.shares.items()}
        (folder / "result.json").write_text(json.dumps({"targets": targets, "realised": shares}))
        (folder / "status.json").write_text(json.dumps({"state": "done", "attempts": 1}))
    (out / "trials/t99").mkdir()
    (out / "trials/t99/status.json").write_text(json.dumps({"state": "failed", "attempts": 2, "error": "memory"}))
