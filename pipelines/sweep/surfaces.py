"""Made-up responses to a mix whose best mix and noise are known: what a sweep's proposals are tried on.

Every surface gives several targets a run and an objective that is their mean; higher is better. They come from other families
than the models that are fitted, but for `losses`, which is the data-mixing law itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from curate.seeding import rng
from pipelines.sweep.candidates import best, sample
from pipelines.sweep.fitting import FitSettings, fit_sweep
from pipelines.sweep.following import next_trials
from pipelines.sweep.results import Observations
from pipelines.sweep.space import Floats, Simplex, Space
from pipelines.sweep.tasks import Ints

REPEATS = 3
"""Runs of the prior."""


@dataclass(frozen=True)
class Surface:
    """A space and the truth over it."""

    kind: str
    space: Space
    truth: Callable[[Floats], Floats]  # rows [k, d] -> targets [k, t]
    lower: bool  # whether the targets are losses

    def value(self, rows: Floats) -> Floats:
        """[k] the objective, higher is better."""
        mean = np.asarray(self.truth(rows).mean(axis=1), np.float64)
        return -mean if self.lower else mean

    def optimum(self) -> Floats:
        """[d] found by looking at many mixes and climbing from the best ten."""
        return best(self.space, self.value, sample(self.space, 6000, 0, "optimum"), starts=10)

    @property
    def weights(self) -> dict[str, float]:
        """Of the objective."""
        count = self.truth(self.space.row(self.space.prior)[None]).shape[1]
        sign = -1.0 if self.lower else 1.0
        return {f"{'loss' if self.lower else 'accuracy'}/{at}": sign / count for at in range(count)}


def space_of(m: int, dice: np.random.Generator) -> Space:
    """One simplex of m components, unbounded, with an uneven prior and other natural shares."""
    names = tuple(f"c{at}" for at in range(m))
    prior, natural = dice.dirichlet(np.full(m, 3.0)), dice.dirichlet(np.full(m, 2.0))
    return Space((Simplex("source", names, tuple(prior), tuple(natural), (0.0,) * m, (1.0,) * m),))


def losses(m: int, dice: np.random.Generator) -> Surface:
    """Data-mixing law (Ye et al. 2024): m losses c_i + k_i exp(-t_i·p); most of a loss is won by its own component, and others
    help it or harm it."""
    floor, size = dice.uniform(1.4, 2.4, m), dice.uniform(0.4, 1.2, m)
    slopes = dice.normal(0.2, 0.5, (m, m))
    slopes[np.arange(m), np.arange(m)] = dice.uniform(1.5, 6.0, m)

    def truth(rows: Floats) -> Floats:
        return np.asarray(floor + size * np.exp(-rows @ slopes.T), np.float64)

    return Surface("losses", space_of(m, dice), truth, True)


def quadratic(m: int, dice: np.random.Generator) -> Surface:
    """Accuracies that fall with the squared distance from a best mix inside the simplex, some directions mattering more."""
    centre, tops = dice.dirichlet(np.full(m, 3.0)), dice.uniform(0.5, 0.8, 2)
    roots = dice.normal(0, 1, (m, m)) / m**0.5
    form = roots @ roots.T + 0.3 * np.eye(m)

    def truth(rows: Floats) -> Floats:
        off = rows - centre
        fall = np.einsum("ki,ij,kj->k", off, form, off)[:, None] * np.array([0.8, 1.2])
        return np.asarray(tops - 0.35 * fall, np.float64)

    return Surface("quadratic", space_of(m, dice), truth, False)


def saturating(m: int, dice: np.random.Generator) -> Surface:
    """Accuracies that each component raises with saturation, and pairs raise or lower together."""
    worth, fill = dice.uniform(0.0, 0.3, m), dice.uniform(0.05, 0.4, m)
    pairs = np.triu(dice.normal(0, 0.25, (m, m)), 1)

    def truth(rows: Floats) -> Floats:
        alone = (worth * (1 - np.exp(-rows / fill))).sum(axis=1)
        together = np.einsum("ki,ij,kj->k", rows, pairs, rows)
        return np.asarray((0.3 + alone + together)[:, None], np.float64)

    return Surface("saturating", space_of(m, dice), truth, False)


def power(m: int, dice: np.random.Generator) -> Surface:
    """Losses c_i + k_i (0.02 + p_i)^-a_i: scaling laws in each component's tokens (as BiMix, Ge et al. 2024)."""
    floor, size, power = dice.uniform(1.2, 2.2, m), dice.uniform(0.1, 0.5, m), dice.uniform(0.15, 0.5, m)
    return Surface("power", space_of(m, dice), lambda rows: floor + size * (0.02 + rows) ** -power, True)


def repeated(m: int, dice: np.random.Generator) -> Surface:
    """Accuracies that rise with the logarithm of a share until its data are repeated too often, and fall from there on."""
    worth, supply = dice.uniform(0.02, 0.2, m), dice.uniform(0.15, 0.7, m)

    def truth(rows: Floats) -> Floats:
        gained = worth * np.log1p(10 * rows) / np.log(11)
        lost = 1.5 * worth * np.maximum(rows - supply, 0) ** 2
        return np.asarray((0.3 + (gained - lost).sum(axis=1))[:, None], np.float64)

    return Surface("repeated", space_of(m, dice), truth, False)


def flat(m: int, dice: np.random.Generator) -> Surface:
    """Three losses that no mix changes."""
    level = dice.uniform(1.5, 2.5, 3)
    return Surface("flat", space_of(m, dice), lambda rows: np.repeat(level[None], len(rows), axis=0), True)


KINDS: Mapping[str, Callable[[int, np.random.Generator], Surface]] = {
    one.__name__: one for one in (losses, quadratic, saturating, power, repeated, flat)
}


def surface(kind: str, m: int, seed: int, item: str = "test") -> Surface:
    """The surface of a kind that a seed stands for."""
    return KINDS[kind](m, rng(seed, f"surface-{kind}", f"{item}/{m}"))


def design(space: Space, count: int, dice: np.random.Generator) -> tuple[Floats, Ints, Ints]:
    """Rows [count, d], their mixes and seeds: prior (three times), natural, even, and Dirichlet draws about the prior."""
    one = space.simplices[0]
    m = len(one.components)
    fixed = np.array([*([one.prior] * REPEATS), one.natural, [1 / m] * m])
    strengths = dice.choice([0.5, 1.0, 2.0], count - len(fixed))
    drawn = np.array([dice.dirichlet(np.array(one.prior) * m * strength) for strength in strengths])
    mixes = np.array([*([0] * REPEATS), *range(1, count - REPEATS + 1)])
    seeds = np.array([*range(REPEATS), *([0] * (count - REPEATS))])
    return np.concatenate([fixed, drawn]), mixes, seeds


def observe(truth: Surface, count: int, noise: float, seed: int) -> Observations:
    """A sweep of `count` runs. `noise` is the standard deviation of a run's objective over that of the true values in the
    design (a flat surface has none: there it is the standard deviation itself)."""
    dice = rng(seed, "observe", truth.kind)
    rows, mixes, seeds = design(truth.space, count, dice)
    return _seen(truth, rows, mixes, seeds, _answers(truth, rows, _scatter(truth, rows, noise), dice))


def observe_in_rounds(truth: Surface, count: int, noise: float, seed: int, rounds: int, settings: FitSettings) -> Observations:
    """A sweep of `count` runs whose first half are those of `observe`, and the others, with as much noise, what the fit of all
    before them wants to run next, in so many rounds."""
    dice = rng(seed, "observe", truth.kind)
    rows, mixes, seeds = design(truth.space, count, dice)
    sd = _scatter(truth, rows, noise)
    values, left = _answers(truth, rows, sd, dice), count // 2
    rows, values = rows[: count - left], values[: count - left]
    for number in range(rounds):
        share = left // (rounds - number)
        fit = fit_sweep(
            _seen(truth, rows, mixes[: len(rows)], seeds[: len(rows)], values), truth.weights, settings, targets=False
        )
        new = np.stack([truth.space.row(one.point) for one in next_trials(fit.belief, fit.limits, share, seed)])
        rows, values = np.concatenate([rows, new]), np.concatenate([values, _answers(truth, new, sd, dice)])
        left -= share
    return _seen(truth, rows, mixes, seeds, values)


def _scatter(truth: Surface, rows: Floats, noise: float) -> float:
    size = float(np.std(truth.value(rows)))
    return noise * (size if size > 1e-9 else 1.0)


def _answers(truth: Surface, rows: Floats, sd: float, dice: np.random.Generator) -> Floats:
    """[k, t] with noise of which each target has an equal and independent share; `sd` is the objective's."""
    values = truth.truth(rows)
    return np.asarray(values + dice.normal(0, sd * values.shape[1] ** 0.5, values.shape), np.float64)


def _seen(truth: Surface, rows: Floats, mixes: Ints, seeds: Ints, values: Floats) -> Observations:
    targets = {name: values[:, at] for at, name in enumerate(truth.weights)}
    empty = {name: np.full(len(rows), np.nan) for name in targets}
    return Observations(truth.space, rows, mixes.astype(np.str_), seeds, targets, empty)
