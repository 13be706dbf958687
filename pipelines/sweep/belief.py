"""A response as fitted: models of it, each weighted by how well it predicts, and what else might be true.

A fit is one model of the response, or one model for each of the targets that it is the sum of. A belief is several fits. Its
uncertainty is that of its models (wild bootstrap over mixes: Cameron, Gelbach and Miller 2008) and that about which is right.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.sweep.models import MODELS, Response
from pipelines.sweep.space import Floats
from pipelines.sweep.tasks import Task, noise_of

BY_TARGET = " by target"
"""Ending of the name of a candidate that fits each target by itself."""


@dataclass(frozen=True)
class Fitted:
    """A weighted sum of models."""

    name: str
    models: tuple[Response, ...]
    weights: Floats

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean [k] and standard deviation [k]; parts are taken to err independently."""
        both = [model.predict(rows) for model in self.models]
        mean = sum(weight * one[0] for weight, one in zip(self.weights, both, strict=True))
        variance = sum((weight * one[1]) ** 2 for weight, one in zip(self.weights, both, strict=True))
        return np.asarray(mean, np.float64), np.sqrt(np.asarray(variance, np.float64))

    def mean(self, rows: Floats) -> Floats:
        """[k]"""
        return self.predict(rows)[0]

    def again(self, parts: Floats, rows: Floats) -> Floats:
        """Means [b, k] had the runs answered parts [b, n, t]."""
        each = [model.again(parts[:, :, at], rows) for at, model in enumerate(self.models)]
        return np.asarray(sum(weight * one for weight, one in zip(self.weights, each, strict=True)), np.float64)


def fit(name: str, task: Task) -> Fitted:
    """Fits the candidate called `name`."""
    whole = task if name.endswith(BY_TARGET) else task.merged()
    kind = MODELS.get(name.removesuffix(BY_TARGET))
    models = [
        kind(task.space).fit(whole.rows, whole.parts[:, at], noise_of(whole.parts[:, at], whole.mixes).sd)
        for at in range(len(whole.weights))
    ]
    return Fitted(name, tuple(models), whole.weights)


def parts_of(name: str, task: Task) -> Floats:
    """[n, t] what the candidate was fitted on."""
    return (task if name.endswith(BY_TARGET) else task.merged()).parts


@dataclass(frozen=True)
class Belief:
    """Weighted fits of one task."""

    task: Task
    fits: tuple[Fitted, ...]
    weights: Floats  # [k], summing to one
    left: tuple[Floats, ...]  # k times [n, t]: what runs said beyond held-out predictions

    @property
    def name(self) -> str:
        """The fit of most weight."""
        return self.fits[int(np.argmax(self.weights))].name

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean [k] and standard deviation [k] of the mixture of fits."""
        means, sds = (np.array(each) for each in zip(*[one.predict(rows) for one in self.fits], strict=True))
        mean = self.weights @ means
        return mean, np.sqrt(self.weights @ (sds**2 + (means - mean) ** 2))

    def draws(self, rows: Floats, count: int, dice: np.random.Generator) -> Floats:
        """[count, k] means at rows that might as well have come out; each fit draws as often as it is believed.

        A draw turns what a mix said beyond its held-out prediction round or not, all its runs and targets together, adds that
        to the fit, and fits anew.
        """
        shares = np.diff(np.round(np.cumsum([0.0, *self.weights]) * count).astype(int))
        return np.concatenate([self._drawn(at, rows, int(n), dice) for at, n in enumerate(shares) if n])

    def _drawn(self, at: int, rows: Floats, count: int, dice: np.random.Generator) -> Floats:
        fitted, names = self.fits[at], np.unique(self.task.mixes)
        centre = np.stack([model.predict(self.task.rows)[0] for model in fitted.models], axis=1)  # [n, t]
        signs = dice.choice(np.array([-1.0, 1.0]), (count, len(names)))[:, np.searchsorted(names, self.task.mixes)]
        again = fitted.again(centre + signs[:, :, None] * self.left[at], rows)
        return again + (fitted.mean(rows) - fitted.again(centre[None], rows))
