"""All that a sweep's folder holds, read for its report; nothing but design.json has to be there."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import InputError, IntegrityError
from pipelines.sweep.design import Design, Trial, read_design
from pipelines.sweep.fitting import FIT, OBJECTIVE
from pipelines.sweep.results import Observations, observations, read_result
from pipelines.sweep.status import Status, read_status
from pipelines.sweep.tasks import objective_of

STATES = ("done", "running", "waiting", "stopped_early", "failed")
NEEDED = ("settings", "objective", "targets", "weights", "proposal", "trials", "verdict", "next", "columns")


@dataclass(frozen=True)
class Sweep:
    """A design, what came of its trials, and what was fitted."""

    design: Design
    seen: Observations
    statuses: Mapping[str, Status]  # trial -> where it stands
    results: Mapping[str, Mapping[str, Any]]  # trial -> result.json, of those that have one
    fit: Mapping[str, Any] | None  # fit.json

    @classmethod
    def read(cls, out: Path) -> "Sweep":
        """The sweep in a folder. InputError without a design, IntegrityError for files that are damaged."""
        design = read_design(out)
        statuses = {trial.id: read_status(out, trial.id) for trial in design.trials}
        found = {trial.id: read_result(out, trial.id) for trial in design.trials}
        results = {name: result for name, result in found.items() if result is not None}
        return cls(design, observations(out, design), statuses, results, read_fit(out))

    @cached_property
    def counts(self) -> dict[str, int]:
        """Trials by state, in the order of `STATES`."""
        known = Counter(str(status.state) for status in self.statuses.values())
        return {state: known[state] for state in STATES if known[state]}

    @cached_property
    def weights(self) -> Mapping[str, float]:
        """The objective: as fitted, else as it would be; {} where no target can be one."""
        if self.fit is not None:
            return dict(self.fit["weights"])
        try:
            return objective_of(list(self.seen.targets), self.design.spec.get("objective") or None)
        except InputError:
            return {}

    @cached_property
    def objective(self) -> dict[str, float]:
        """Trial -> its objective, of those that have all of it."""
        if not self.weights or not set(self.weights) <= set(self.seen.targets):
            return {}
        values = sum(weight * self.seen.targets[name] for name, weight in self.weights.items())
        each = zip(self.seen.trials, np.asarray(values, np.float64).tolist(), strict=True)
        return {trial.id: value for trial, value in each if np.isfinite(value)}

    @cached_property
    def runs(self) -> Counter[str]:
        """Mix -> trials of it."""
        return Counter(trial.mix for trial in self.design.trials)

    def row_of(self, trial: Trial) -> dict[str, float]:
        """Column -> share: as realised where there is a result, else as asked for."""
        space = self.design.space
        at = self._places.get(trial.id)
        row = space.row(trial.point) if at is None else self.seen.rows[at]
        return dict(zip(space.columns, row.tolist(), strict=True))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {trial.id: at for at, trial in enumerate(self.seen.trials)}

    @cached_property
    def responses(self) -> dict[str, Mapping[str, Any]]:
        """The objective and the targets as fitted; {} without a fit. An objective of one target is that target."""
        return {OBJECTIVE: self.fit["objective"], **self.fit["targets"]} if self.fit else {}


def read_fit(out: Path) -> dict[str, Any] | None:
    """fit.json; None where there is none."""
    try:
        told = json.loads((out / FIT).read_text(encoding="utf-8"))
        if not set(NEEDED) <= set(told) or not isinstance(told["proposal"]["gains"], list):
            raise ValueError
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise IntegrityError(f"{out / FIT} is not readable; fit the sweep again: curate sweep fit {out}") from None
    return dict(told)
