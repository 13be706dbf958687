"""Whether the best mix beats a baseline by more than looking for the best would find where no mix matters.

Permutation test. Where mixes do not matter, any run might have had any other's value, so the runs' values are shuffled. What
is compared is the predicted gain over the baseline of the mix where that is largest in units of its own scatter, over the
error of held-out runs: looking for the best is in the null as well, so it does not make a find. Four smoothers of fixed
strength are used, from a line to a wiggly surface; a shuffle counts by its best one (Westfall and Young 1993), so the choice
of smoother is in the null too. All is linear in the values, hence thousands of fits cost a few products of matrices.
"""

from collections.abc import Sequence

import numpy as np

from curate.seeding import rng
from pipelines.sweep.models.base import centred, shares
from pipelines.sweep.space import Floats
from pipelines.sweep.tasks import Task

SHUFFLES = 999
SMOOTHERS = ((10.0, 0.0, 0.0), (300.0, 0.0, 0.0), (30.0, 100.0, 0.0), (30.0, 30.0, 4.0))
"""Prior variances of line, square and smooth part over that of the noise."""
NEAR = 0.05
"""Mixes whose gain scatters less than this share of the largest scatter are the baseline itself."""
LENGTH = 0.5
"""Of the smooth part, in the distance of square roots of shares."""


def p_values(task: Task, looked: Floats, baselines: Floats, seed: int, item: str, shuffles: int = SHUFFLES) -> list[float]:
    """[b] for baselines [b, d] against the best of the rows looked at [k, d]; never 0."""
    dice = rng(seed, "sweep-shuffles", item)
    values = task.y - task.y.mean()
    if not np.any(np.abs(values) > 1e-12 * max(1.0, float(np.abs(task.y).max()))):
        return [1.0] * len(baselines)
    shuffled = np.stack([values, *(dice.permutation(values) for _ in range(shuffles))])  # [s, n]
    statistics = np.stack([_statistic(task, strength, shuffled, looked, baselines) for strength in SMOOTHERS])  # [k, s, b]
    return [_best_of(statistics[:, :, at]) for at in range(len(baselines))]


def _statistic(task: Task, strength: Sequence[float], ys: Floats, looked: Floats, baselines: Floats) -> Floats:
    """[s, b] largest of the gains, each in units of its scatter, among the mixes looked at, over held-out error."""
    own = _cover(task, task.rows, task.rows, strength)
    inverse = np.linalg.inv(own + np.eye(len(own)))
    hat = own @ inverse
    error = np.sqrt((((ys - ys @ hat.T) / (1 - np.diag(hat))) ** 2).mean(axis=1))  # [s]
    looks = _cover(task, looked, task.rows, strength) @ inverse  # [k, n]
    found = []
    for base in _cover(task, baselines, task.rows, strength) @ inverse:
        ahead = looks - base
        scatter = np.sqrt((ahead**2).sum(axis=1))
        ahead = ahead[scatter > NEAR * scatter.max()]
        found.append((ys @ (ahead / np.sqrt((ahead**2).sum(axis=1, keepdims=True))).T).max(axis=1) / error)
    return np.stack(found, axis=1)


def _cover(task: Task, rows: Floats, other: Floats, strength: Sequence[float]) -> Floats:
    line, square, smooth = strength
    count = shares(task.space)
    x, y = centred(task.space, rows), centred(task.space, other)
    found = line * (x @ y.T) + square * (x[:, :count] @ y[:, :count].T) ** 2 + 100.0
    if smooth:
        a, b = np.sqrt(np.maximum(rows[:, :count], 0)), np.sqrt(np.maximum(other[:, :count], 0))
        apart = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
        found = found + smooth * np.exp(-apart / (2 * LENGTH**2))
    return np.asarray(found, np.float64)


def _best_of(statistics: Floats) -> float:
    """The p-value of the first column of [smoothers, shuffles], each smoother's statistic being ranked among its own."""
    order = np.argsort(np.argsort(-statistics, axis=1, kind="stable"), axis=1, kind="stable") + 1
    ties = np.array([[int(np.sum(row >= value)) for value in row[:1]] for row in statistics])
    order[:, :1] = ties
    smallest = order.min(axis=0)
    return float(np.mean(smallest <= smallest[0]))
