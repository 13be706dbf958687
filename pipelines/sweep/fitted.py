"""A sweep's folder as fitted: its design, results and states read, fit.json written; and the trials to add to it."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from curate.errors import InputError
from curate.settings import build, with_overrides
from curate.storage import Folder
from pipelines.sweep.design import Design, read_design
from pipelines.sweep.fitting import FIT, Fit, FitSettings, as_json, fit_sweep
from pipelines.sweep.following import Next, confirmations, next_trials
from pipelines.sweep.results import observations
from pipelines.sweep.status import read_status


def fit_folder(
    out: Path, overrides: Iterable[str] = (), say: Callable[[str], None] = lambda line: None
) -> tuple[Fit, dict[str, Any]]:
    """Fits what is there and writes fit.json; the fit, and what the file says. InputError without a sweep or results."""
    design = read_design(out)
    found = _fit(out, design, overrides, say, targets=True)
    states = Counter(str(read_status(out, trial.id).state) for trial in design.trials)
    told = as_json(found, dict(sorted(states.items())))
    text = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False)
    Folder.of(out).write(FIT, (text + "\n").encode())
    return found, told


def trials_to_add(out: Path, next_: int = 0, confirm: int = 0, seeds: int = 3, overrides: Iterable[str] = ()) -> list[Next]:
    """What to run next: `next_` mixes by expected improvement; and the prior and `confirm` mixes that look best, the proposal
    first, each with `seeds` seeds that no run has had."""
    design = read_design(out)
    found = _fit(out, design, overrides, lambda line: None, targets=False)
    used = 1 + max(trial.seed for trial in design.trials)
    first = min(trial.seed for trial in design.trials)
    added = next_trials(found.belief, found.limits, next_, found.settings.seed, first) if next_ else []
    again = confirmations(found.belief, found.proposal.row, confirm, seeds, used) if confirm else []
    return [*added, *again]


def _fit(out: Path, design: Design, overrides: Iterable[str], say: Callable[[str], None], targets: bool) -> Fit:
    settings = build(FitSettings, with_overrides(dict(design.spec.get("fit") or {}), overrides), "fit")
    if not targets:
        settings = settings.model_copy(update={"outer": 0})
    seen = observations(out, design)
    if not len(seen):
        raise InputError(f"{out} has no results yet; run its trials: curate sweep run {out}")
    return fit_sweep(seen, design.spec.get("objective") or None, settings, say, targets)
