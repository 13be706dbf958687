"""What the trials of a sweep came to, as rows and columns that can be fitted.

trials/ID/result.json:

    {"targets": {"loss/emoji": {"value": 2.1, "error": null}, …}, "realised": {axis: {component: share}},
     "rungs": [{"steps": 50, "targets": {…}}], "steps": 200, "tokens": {…}, "seconds": 81.3}

The realised shares are those of the plan that was trained on, which rounding and caps keep from the ones asked for.
A trial that was stopped early has a result as well, whose targets are empty: its values stand at its last rung.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.errors import IntegrityError
from pipelines.sweep.design import TRIALS, Design, Trial, read_design
from pipelines.sweep.space import Floats, Point, Space

RESULT, STATUS = "result.json", "status.json"


@dataclass(frozen=True)
class Observations:
    """Trials that have results, in the order of the design; NaN where a trial lacks a target or its error."""

    space: Space
    rows: Floats  # [n, columns] as realised in the plans
    mixes: npt.NDArray[np.str_]  # [n] trials of one mix share the name
    seeds: npt.NDArray[np.int64]  # [n]
    targets: Mapping[str, Floats]  # name -> [n]
    errors: Mapping[str, Floats]  # name -> [n], standard errors over a benchmark's groups
    trials: tuple[Trial, ...] = ()  # [n]

    def __len__(self) -> int:
        return len(self.rows)

    def strayed(self) -> Floats:
        """[n] how far a trial's plan is from the mix that was asked for: the largest total variation over the axes."""
        asked = np.array([self.space.row(trial.point) for trial in self.trials]).reshape(-1, self.rows.shape[1])
        apart = [0.5 * np.abs(self.rows[: len(asked), block] - asked[:, block]).sum(axis=1) for block in self.space.blocks]
        return np.asarray(np.max(apart, axis=0), np.float64)


def better_when_lower(target: str) -> bool:
    """Losses are; everything else is better when higher."""
    return target.startswith("loss/")


def read_results(folder: Path, rung: int | None = None) -> Observations:
    """All results of a sweep: of whole trials, or, with `rung`, the values of all trials that reached that rung (0 is the
    first). InputError when the folder holds no sweep; none of its trials needs to be done."""
    return observations(folder, read_design(folder), rung)


def observations(folder: Path, design: Design, rung: int | None = None) -> Observations:
    """As read_results, for a design that was read."""
    found = [(trial, result, own) for trial in design.trials if (result := read_result(folder, trial.id)) is not None
             if (own := _targets(result, rung))]  # fmt: skip
    names = list(dict.fromkeys(name for _, _, own in found for name in own))
    rows = [realised_row(design.space, trial.point, result) for trial, result, _ in found]
    return Observations(
        design.space,
        np.array(rows, dtype=np.float64).reshape(len(rows), len(design.space.columns)),
        np.array([trial.mix for trial, _, _ in found], dtype=np.str_),
        np.array([trial.seed for trial, _, _ in found], dtype=np.int64),
        {name: _column([own for _, _, own in found], name, "value") for name in names},
        {name: _column([own for _, _, own in found], name, "error") for name in names},
        tuple(trial for trial, _, _ in found),
    )


def read_result(folder: Path, trial: str) -> dict[str, Any] | None:
    """A trial's result.json; None where there is none, IntegrityError where it is not one."""
    place = folder / TRIALS / trial / RESULT
    try:
        result = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(result["targets"], dict) or not isinstance(result["realised"], dict):
            raise ValueError
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(f"{place} is not a trial's result; remove it and run the sweep again") from None
    return dict(result)


def realised_row(space: Space, asked: Point, result: Mapping[str, Any]) -> Floats:
    """[columns] The shares as they came out, the choices as they were asked for."""
    shares = {axis: {**named, **result["realised"].get(axis, {})} for axis, named in asked.shares.items()}
    return space.row(Point(shares, asked.choices))


def _targets(result: Mapping[str, Any], rung: int | None) -> Mapping[str, Any]:
    if rung is None:
        return dict(result["targets"])
    rungs = result.get("rungs", [])
    return dict(rungs[rung]["targets"]) if rung < len(rungs) else {}


def _column(rows: list[Mapping[str, Any]], name: str, key: str) -> Floats:
    values = [row.get(name, {}).get(key) for row in rows]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
