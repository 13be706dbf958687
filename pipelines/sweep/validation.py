"""Which models to believe: cross-validation over mixes, and around it another one that tells what the weighing is worth.

All runs of a mix are held out together, or its repeats would give it away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from curate.seeding import rng
from pipelines.sweep.belief import BY_TARGET, Belief, fit, parts_of
from pipelines.sweep.models import MODELS
from pipelines.sweep.space import Floats
from pipelines.sweep.tasks import Ints, Task

SHARPNESS = 4.0
"""Weights are mean squared errors to the power of -mixes / 4: half as sure as if errors were independent and normal, as
pseudo-BMA (Yao et al. 2018) has it, since the errors' own scatter is not in it."""
LEAST_WEIGHT = 0.02
LEAST_ERROR = 1e-12
"""Below, errors are rounding."""


@dataclass(frozen=True)
class Skill:
    """How well predictions for mixes that were not seen agree with what came out."""

    spearman: float | None  # None where either is constant
    r2: float  # against the mean of the others
    rmse: float


@dataclass(frozen=True)
class Tried:
    """A candidate with its held-out predictions."""

    name: str
    held_out: Floats  # [n, t] of each part
    skill: Skill


def candidates(task: Task, models: Sequence[str], proposing: bool = False) -> list[str]:
    """Those of the models that so many mixes allow, simplest first; log-linear also for each target where there are several.

    With `proposing`, only those whose best mix may lie inside: a line that predicts well among the mixes that were tried still
    sends one to a corner that nobody tried.
    """
    known = [name for name in MODELS if name == "mean" or (name in models and task.count >= MODELS.get(name).least)]
    names = [name for name in known if MODELS.get(name).bends or not proposing]
    return [*names, "log-linear" + BY_TARGET] if "log-linear" in known and len(task.weights) > 1 else names


def folds_of(mixes: Ints, folds: int, seed: int, item: str) -> Ints:
    """[n] the fold of each run; mixes are dealt by lot, all runs of one together."""
    names = np.unique(mixes)
    dealt = np.arange(len(names)) % min(folds, len(names))
    fold = rng(seed, "sweep-folds", item).permutation(dealt)
    return np.asarray(fold[np.searchsorted(names, mixes)], np.int64)


def held_out(name: str, task: Task, fold: Ints) -> Floats:
    """[n, t] predictions of each part for the runs of each fold by a fit on the others."""
    found = np.empty_like(parts_of(name, task))
    for one in np.unique(fold):
        fitted = fit(name, task.take(fold != one))
        found[fold == one] = np.stack([model.predict(task.rows[fold == one])[0] for model in fitted.models], axis=1)
    return found


def skill_of(y: Floats, predicted: Floats, without: Floats) -> Skill:
    """Of predictions against y; R² is 1 less the squared error over that of predicting `without`, the mean of the others."""
    ranks = stats.spearmanr(y, predicted).statistic if np.ptp(y) > 0 and np.ptp(predicted) > 0 else None
    squared, plain = float(((y - predicted) ** 2).mean()), float(((y - without) ** 2).mean())
    return Skill(None if ranks is None else float(ranks), 1 - squared / plain if plain > 0 else 0.0, squared**0.5)


def try_all(task: Task, names: Sequence[str], folds: int, seed: int, item: str) -> list[Tried]:
    """Every candidate over the same folds."""
    fold = folds_of(task.mixes, folds, seed, item)
    plain = held_out("mean", task, fold)
    told = [("mean", plain), *((name, held_out(name, task, fold)) for name in names if name != "mean")]
    return [Tried(name, out, skill_of(task.y, _sum(task, out), plain[:, 0])) for name, out in told]


def weights_of(tried: Sequence[Tried], mixes: int) -> Floats:
    """[k] summing to one: what each candidate is believed, by its held-out error."""
    errors = np.maximum([one.skill.rmse for one in tried], LEAST_ERROR)
    powers = (errors / errors.min()) ** (-2 * mixes / SHARPNESS)
    return np.asarray(powers / powers.sum(), np.float64)


def believe(task: Task, tried: Sequence[Tried]) -> Belief:
    """The candidates fitted on all runs, weighted; those of less than 2 % are left out."""
    weights = weights_of(tried, task.count)
    kept = [at for at in range(len(tried)) if weights[at] >= LEAST_WEIGHT]
    fits = tuple(fit(tried[at].name, task) for at in kept)
    left = tuple(parts_of(tried[at].name, task) - tried[at].held_out for at in kept)
    return Belief(task, fits, weights[kept] / weights[kept].sum(), left)


def nested(task: Task, names: Sequence[str], folds: int, inner: int, seed: int, item: str) -> tuple[Floats, Skill]:
    """Held-out predictions [n] of the whole procedure, weighing of models included, and their skill."""
    fold, found = folds_of(task.mixes, folds, seed, f"{item}/outer"), np.empty(len(task.rows))
    for one in np.unique(fold):
        seen, unseen = task.take(fold != one), fold == one
        belief = believe(seen, try_all(seen, names, inner, seed, f"{item}/{one}"))
        found[unseen] = belief.predict(task.rows[unseen])[0]
    return found, skill_of(task.y, found, held_out("mean", task, fold)[:, 0])


def _sum(task: Task, out: Floats) -> Floats:
    return out @ (task.weights if out.shape[1] == len(task.weights) else np.ones(1))
