"""The mix to take: the best that the space allows, how much better it is than what one would take anyway, and how sure that
is.

The best mix is where the lower bound of the prediction is highest (mean less `caution` standard deviations), so a model's
fancy about mixes that nobody tried does not win. The gain's variance is what the models say of their own prediction there
plus that of the bootstrap over mixes. Whether there is a gain at all is for the permutation test, whose null looks for its
best mix as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from curate.seeding import rng
from curate.statistics import holm
from pipelines.sweep.belief import Belief
from pipelines.sweep.candidates import best, sample
from pipelines.sweep.limits import Limits
from pipelines.sweep.significance import p_values
from pipelines.sweep.space import Floats, Point, Space

LOOKED = 600
DRAWS = 400


@dataclass(frozen=True)
class Gain:
    """The proposal less a baseline; higher is better."""

    baseline: str
    row: Floats  # [d]
    gain: float
    low: float
    high: float
    probability: float  # that it is above 0
    p: float  # permutation test, Holm's correction over the baselines
    significant: bool


@dataclass(frozen=True)
class Proposal:
    """The mix to take and what is known of it."""

    row: Floats  # [d]
    mean: float  # predicted, as the models say
    sd: float
    gains: tuple[Gain, ...]  # over prior, natural, uniform

    @property
    def is_significant(self) -> bool:
        """Whether it beats the prior."""
        return self.gains[0].significant


def baselines(space: Space) -> dict[str, Point]:
    """prior, natural and uniform; the choices are the first ones."""
    first = {one.name: one.levels[0] for one in space.choices}
    natural = {one.axis: dict(zip(one.components, one.natural, strict=True)) for one in space.simplices}
    even = {one.axis: dict.fromkeys(one.components, 1 / len(one.components)) for one in space.simplices}
    return {"prior": space.prior, "natural": Point(natural, first), "uniform": Point(even, first)}


def propose(
    belief: Belief,
    limits: Limits,
    caution: float,
    level: float,
    alpha: float,
    seed: int,
    shuffles: int,
    item: str = "objective",
) -> Proposal:
    """The proposal; `level` is that of the intervals, `alpha` what p must not exceed."""
    space = belief.task.space
    named = {name: space.row(point) for name, point in baselines(space).items()}
    # of equals the first counts: the prior stands first
    drawn = sample(limits.bounded(), LOOKED, seed, item)
    looked = limits.keep(np.concatenate([*(row[None] for row in named.values()), drawn, belief.task.rows]))

    def careful(rows: Floats) -> Floats:
        mean, sd = belief.predict(rows)
        return np.asarray(mean - caution * sd - limits.penalties(rows), np.float64)

    row = best(limits.bounded(), careful, looked)
    rows = np.stack([row, *named.values()])
    mean, sd = belief.predict(rows)
    drawn = belief.draws(rows, DRAWS, rng(seed, "sweep-draws", item))
    errors = np.sqrt(sd[0] ** 2 + np.var(drawn[:, :1] - drawn[:, 1:], axis=0))  # [b]
    ps = holm(p_values(belief.task, looked, rows[1:], seed, item, shuffles))
    each = zip(named, rows[1:], mean[0] - mean[1:], errors, ps, strict=True)
    gains = [_gain(name, other, float(gain), float(error), p, level, alpha) for name, other, gain, error, p in each]
    return Proposal(row, float(mean[0]), float(sd[0]), tuple(gains))


def _gain(name: str, row: Floats, gain: float, error: float, p: float, level: float, alpha: float) -> Gain:
    half = error * float(stats.norm.ppf((1 + level) / 2))
    sure = float(stats.norm.cdf(gain / error)) if error > 0 else float(gain > 0)
    return Gain(name, row, gain, gain - half, gain + half, sure, p, p <= alpha and gain - half > 0)


def point_of(space: Space, row: Floats) -> Mapping[str, object]:
    """A row as plain data."""
    point = space.point(row)
    return {"shares": {axis: dict(named) for axis, named in point.shares.items()}, "choices": dict(point.choices)}
