"""Confirmation runs by themselves: mixes that looked best beside the prior, on seeds that had no part in choosing them.

A fit knows of its runs that it looked for the best among them, and cannot undo it. Fresh runs are free of that: Student's t on
the difference of two means, the scatter pooled over all mixes that were run more than once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from pipelines.sweep.design import Trial
from pipelines.sweep.designs.making import PRIOR
from pipelines.sweep.extending import CONFIRM
from pipelines.sweep.space import Floats
from pipelines.sweep.tasks import Task

LEAST_NOISE = 1e-12
"""Below, runs of one mix are alike."""


@dataclass(frozen=True)
class Confirmed:
    """A mix less the prior, by fresh runs of both; higher is better."""

    mix: str
    row: Floats  # [columns] what the runs had, on average
    runs: int
    prior_runs: int
    gain: float
    low: float
    high: float
    p: float  # one-sided: that the mix is no better


def confirmed(task: Task, trials: Sequence[Trial], level: float) -> list[Confirmed]:
    """Every mix with confirmation runs, the largest gain first; [] where the prior has none, or no mix was run twice.
    `trials` [n] are the task's."""
    prior = {trial.mix for trial in trials if PRIOR in trial.kinds}
    runs: dict[str, list[int]] = {}
    for at, trial in enumerate(trials):
        if CONFIRM in trial.kinds:
            runs.setdefault("" if trial.mix in prior else trial.mix, []).append(at)
    base, noise = runs.pop("", []), task.noise()
    if not base or not noise.is_known:
        return []
    found = []
    for mix, own in runs.items():
        gain = float(task.y[own].mean() - task.y[base].mean())
        error = max(noise.sd, LEAST_NOISE) * (1 / len(own) + 1 / len(base)) ** 0.5
        half, p = error * float(stats.t.ppf((1 + level) / 2, noise.degrees)), float(stats.t.sf(gain / error, noise.degrees))
        found.append(Confirmed(mix, task.rows[own].mean(axis=0), len(own), len(base), gain, gain - half, gain + half, p))
    return sorted(found, key=lambda one: -one.gain)
