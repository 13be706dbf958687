"""Mixes that the space allows: many to look at, and the best one by moving shares from one component to another."""

from collections.abc import Callable

import numpy as np

from curate.seeding import rng
from pipelines.sweep.space import Floats, Simplex, Space

COUNT = 1500
STRENGTHS = (1.0, 4.0, 16.0, 64.0)
"""Dirichlet strengths in components: from corners to the middle's neighbourhood."""
STEPS = tuple(0.16 / 2**k for k in range(8))
ROUNDS = 60

Score = Callable[[Floats], Floats]
"""Rows [k, d] -> [k], higher is better."""


def clip(one: Simplex, wanted: Floats) -> Floats:
    """[n, m] the nearest shares (least squares) within the bounds that sum to one: each moved alike, then cut to its
    bounds."""
    low, high = np.array(one.low), np.array(one.high)
    under, over = (low - wanted).min(axis=1), (high - wanted).max(axis=1)
    for _ in range(60):
        middle = (under + over) / 2
        short = np.clip(wanted + middle[:, None], low, high).sum(axis=1) < 1
        under, over = np.where(short, middle, under), np.where(short, over, middle)
    return _exact(np.clip(wanted + over[:, None], low, high), low, high)


def _exact(shares: Floats, low: Floats, high: Floats) -> Floats:
    """Spreads the last rounding over the components that have room for it."""
    left = 1 - shares.sum(axis=1, keepdims=True)
    room = np.where(left > 0, high - shares, shares - low)
    return np.asarray(shares + left * room / np.maximum(room.sum(axis=1, keepdims=True), 1e-300), np.float64)


def vertices(one: Simplex) -> Floats:
    """[v, m] mixes that give all they may to one component after another, in a few orders, and the rest to the others."""
    found = []
    for first in range(len(one.components)):
        for second in range(len(one.components)):
            shares, left = np.array(one.low), 1 - sum(one.low)
            for at in (first, second, *np.argsort(-np.array(one.prior), kind="stable").tolist()):
                more = min(left, one.high[at] - shares[at])
                shares[at] += more
                left -= more
            found.append(shares)
    return np.unique(np.round(np.array(found), 12), axis=0)


def sample(space: Space, count: int, seed: int, item: str) -> Floats:
    """[count, d] allowed rows: Dirichlet draws about the prior and about the even mix, cut to the bounds, and extreme ones."""
    dice, blocks = rng(seed, "sweep-candidates", item), []
    for one in space.simplices:
        blocks.append(dice.permutation(_shares(one, count, dice)) if len(space.simplices) > 1 else _shares(one, count, dice))
    for choice in space.choices:
        blocks.append(np.eye(len(choice.levels))[dice.integers(0, len(choice.levels), count)])
    return np.concatenate(blocks, axis=1)


def _shares(one: Simplex, count: int, dice: np.random.Generator) -> Floats:
    extreme = vertices(one)[: count // 4]
    m, drawn = len(one.components), []
    centres = (np.maximum(np.array(one.prior), 0.02), np.full(m, 1 / m))
    each = -(-(count - len(extreme)) // (len(centres) * len(STRENGTHS)))
    for centre in centres:
        for strength in STRENGTHS:
            drawn.append(dice.dirichlet(centre / centre.sum() * m * strength / 2, each))
    return np.concatenate([extreme, clip(one, np.concatenate(drawn))])[:count]


def neighbours(space: Space, row: Floats, steps: Floats) -> Floats:
    """[k, d] allowed rows one move from `row`: a share moved between two components, or another level of a choice."""
    found = [row[None]]
    for block, one in zip(space.blocks, (*space.simplices, *space.choices), strict=True):
        found.append(_moves(row, block, one, steps) if isinstance(one, Simplex) else _levels(row, block))
    return np.concatenate(found)


def _moves(row: Floats, block: slice, one: Simplex, steps: Floats) -> Floats:
    m, shares = len(one.components), row[block]
    give, take = (part.ravel() for part in np.nonzero(~np.eye(m, dtype=bool)))
    room = np.minimum(shares[give] - np.array(one.low)[give], np.array(one.high)[take] - shares[take])
    moved = np.minimum(np.maximum(room, 0)[:, None], steps[None]).ravel()  # [pairs * steps]
    give, take = np.repeat(give, len(steps)), np.repeat(take, len(steps))
    rows, at = np.repeat(row[None], len(moved), axis=0), np.arange(len(moved))
    rows[at, block.start + give] -= moved
    rows[at, block.start + take] += moved
    return np.asarray(rows[moved > 0], np.float64)


def _levels(row: Floats, block: slice) -> Floats:
    size = block.stop - block.start
    rows = np.repeat(row[None], size, axis=0)
    rows[:, block] = np.eye(size)
    return rows


def best(space: Space, score: Score, looked: Floats, starts: int = 3) -> Floats:
    """[d] the best allowed row: the best of those looked at, each moved as long as a move helps."""
    first = score(looked)
    order = np.argsort(-first, kind="stable")[:starts]
    climbed = [_climb(space, score, looked[at], float(first[at])) for at in order]
    return max(climbed, key=lambda one: one[1])[0]


def _climb(space: Space, score: Score, row: Floats, value: float) -> tuple[Floats, float]:
    steps = np.array(STEPS)
    for _ in range(ROUNDS):
        around = neighbours(space, row, steps)
        scores = score(around)
        top = int(np.argmax(scores))
        if scores[top] <= value + 1e-10 * max(1.0, abs(value)):
            break
        row, value = around[top], float(scores[top])
    return row, value
