"""What to run next: mixes that may turn out better than the best known, and the best known ones again with fresh seeds."""

from dataclasses import dataclass

import numpy as np

from curate.seeding import rng
from pipelines.sweep.belief import Belief
from pipelines.sweep.candidates import clip, sample
from pipelines.sweep.limits import Limits
from pipelines.sweep.space import Floats, Point

LOOKED = 600
DRAWS = 256
NEAR = 0.3
"""Distance, of square roots of shares, over which errors are alike."""
APART = 0.05
"""Total variation that new mixes keep from each other: nearer ones tell little more than a repeat."""


@dataclass(frozen=True)
class Next:
    """A run to make."""

    point: Point
    seed: int
    improvement: float  # expected, over the best mix known and those before it in the batch


def next_trials(belief: Belief, limits: Limits, count: int, seed: int = 0, run_seed: int = 0) -> list[Next]:
    """`count` mixes by expected improvement (Jones, Schonlau and Welch 1998), each given those before it.

    Improvement is averaged over functions drawn about the prediction, as far off as its standard deviation says, so a batch
    covers what may be best in different draws (greedy q-EI: Wilson, Hutter and Deisenroth 2018) instead of crowding one place.
    """
    space = belief.task.space
    rows = limits.keep(sample(limits.bounded(), LOOKED, seed, "next"))
    mean, sd = belief.predict(rows)
    field = _field(belief, rows, rng(seed, "sweep-next", "draws"))
    drawn = mean + sd * field - limits.penalties(rows)
    bar = np.full(DRAWS, float((belief.predict(belief.task.rows)[0] - limits.penalties(belief.task.rows)).max()))
    found: list[Next] = []
    free = np.ones(len(rows), dtype=bool)
    while len(found) < count and free.any():
        gains = np.maximum(drawn - bar[:, None], 0).mean(axis=0)
        at = int(np.argmax(np.where(free, gains, -1.0)))
        found.append(Next(space.point(rows[at]), run_seed, float(gains[at])))
        bar = np.maximum(bar, drawn[:, at])
        free &= _distance(belief, rows, rows[at]) > APART
    return found


def _field(belief: Belief, rows: Floats, dice: np.random.Generator) -> Floats:
    """[draws, k] standard normal at each row and alike at rows that are near, as what a model does not know is."""
    roots = np.sqrt(np.maximum(rows, 0.0))
    apart = (roots**2).sum(axis=1)[:, None] + (roots**2).sum(axis=1) - 2 * roots @ roots.T
    alike = np.exp(-np.maximum(apart, 0) / (2 * NEAR**2)) + 1e-6 * np.eye(len(rows))
    return np.asarray(dice.standard_normal((DRAWS, len(rows))) @ np.linalg.cholesky(alike).T, np.float64)


def _distance(belief: Belief, rows: Floats, row: Floats) -> Floats:
    """[k] the largest total variation over simplices and choices."""
    apart = [0.5 * np.abs(rows[:, block] - row[block]).sum(axis=1) for block in belief.task.space.blocks]
    return np.asarray(np.max(apart, axis=0), np.float64)


def confirmations(belief: Belief, proposal: Floats, count: int, seeds: int, used: int) -> list[Next]:
    """The prior, the proposal and the `count` - 1 mixes of highest prediction among those tried, each with `seeds` seeds from
    `used` on: seeds that no run has had, so that what looked best by luck has to be good again."""
    space, task = belief.task.space, belief.task
    asked = [space.row(space.prior), _allowed(belief, proposal)]
    tried = np.unique(task.rows, axis=0)
    for at in np.argsort(-belief.predict(tried)[0], kind="stable"):
        if len(asked) > count:
            break
        if all(_distance(belief, tried[at][None], other)[0] > APART for other in asked):
            asked.append(_allowed(belief, tried[at]))
    return [Next(space.point(row), used + extra, 0.0) for row in asked for extra in range(seeds)]


def _allowed(belief: Belief, row: Floats) -> Floats:
    """The row, its shares as realised moved to the nearest that the space allows."""
    found = row.copy()
    for block, one in zip(belief.task.space.blocks, belief.task.space.simplices, strict=False):
        found[block] = clip(one, row[None, block])[0]
    return found
