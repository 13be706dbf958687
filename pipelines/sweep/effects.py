"""What each component and each level does, about the prior: curves with their intervals, and pictures of three components."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipelines.sweep.belief import Belief
from pipelines.sweep.space import Floats, Simplex

POINTS = 11
STEP = 0.1
"""Effects are told per ten points of share."""
TERNARY = 12
"""Steps a side of the picture of three components."""


@dataclass(frozen=True)
class Component:
    """A share's curve as the others make room in proportion to the prior (Cox 1971), and its slope there."""

    column: str
    shares: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    effect: float  # of ten points more
    effect_low: float
    effect_high: float


@dataclass(frozen=True)
class Level:
    """A level of a choice against the first one, at the prior."""

    choice: str
    level: str
    effect: float
    low: float
    high: float


@dataclass(frozen=True)
class Ternary:
    """Predictions over three components of a simplex, all else as in the prior."""

    axis: str
    components: list[str]
    points: list[list[float]]  # shares of the three, mean, standard deviation


@dataclass(frozen=True)
class Pair:
    """Share that goes from one component of a simplex to another, all else as in the prior."""

    axis: str
    components: list[str]  # the one whose shares are told, and the one that has the rest of what both have in the prior
    shares: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


def components(belief: Belief, level: float, draws: int, dice: np.random.Generator) -> list[Component]:
    """Of every share that has room to move."""
    found, space = [], belief.task.space
    for block, one in zip(space.blocks, space.simplices, strict=False):
        for at in range(len(one.components)):
            grid = np.linspace(one.low[at], min(one.high[at], _most(one, at)), POINTS)
            if grid[-1] - grid[0] > 1e-6:
                found.append(_component(belief, block.start, one, at, grid, level, draws, dice))
    return found


def _component(
    belief: Belief, start: int, one: Simplex, at: int, grid: Floats, level: float, draws: int, dice: np.random.Generator
) -> Component:
    width = min(STEP, float(grid[-1] - grid[0]))
    first = float(np.clip(one.prior[at] - width / 2, grid[0], grid[-1] - width))
    rows = np.stack([_moved(belief, start, one, at, share) for share in (*grid, first, first + width)])
    mean, low, high = _told(belief.draws(rows[:POINTS], draws, dice), belief.predict(rows[:POINTS])[0], level)
    ends, drawn = belief.predict(rows[POINTS:])[0], belief.draws(rows[POINTS:], draws, dice)
    slope, below, above = _told((drawn[:, 1:] - drawn[:, :1]) * (STEP / width), (ends[1:] - ends[:1]) * (STEP / width), level)
    name = f"{one.axis}:{one.components[at]}"
    return Component(name, grid.tolist(), mean, low, high, slope[0], below[0], above[0])


def _most(one: Simplex, at: int) -> float:
    return 1 - sum(low for other, low in enumerate(one.low) if other != at)


def _moved(belief: Belief, start: int, one: Simplex, at: int, share: float) -> Floats:
    """[d] the prior with one share changed, the others in proportion."""
    row = belief.task.space.row(belief.task.space.prior)
    prior = np.array(one.prior)
    rest = prior.sum() - prior[at]
    others = prior / rest if rest > 1e-9 else np.full(len(prior), 1 / max(1, len(prior) - 1))
    block = others * (1 - share)
    block[at] = share
    row[start : start + len(prior)] = block
    return row


def _told(drawn: Floats, mean: Floats, level: float) -> tuple[list[float], list[float], list[float]]:
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return mean.tolist(), np.minimum(low, mean).tolist(), np.maximum(high, mean).tolist()


def levels(belief: Belief, level: float, draws: int, dice: np.random.Generator) -> list[Level]:
    """Of every choice."""
    space, found = belief.task.space, list[Level]()
    for block, choice in zip(space.blocks[len(space.simplices) :], space.choices, strict=True):
        rows = np.repeat(space.row(space.prior)[None], len(choice.levels), axis=0)
        rows[:, block] = np.eye(len(choice.levels))
        mean, drawn = belief.predict(rows)[0], belief.draws(rows, draws, dice)
        effect, low, high = _told(drawn - drawn[:, :1], mean - mean[0], level)
        found += [Level(choice.name, name, *three) for name, *three in zip(choice.levels, effect, low, high, strict=True)][1:]
    return found


def ternaries(belief: Belief, known: Sequence[Component]) -> list[Ternary]:
    """For each simplex of three components or more, its three that move the response most."""
    space, found = belief.task.space, list[Ternary]()
    reach = {one.column: max(one.mean) - min(one.mean) for one in known}
    for block, one in zip(space.blocks, space.simplices, strict=False):
        order = sorted(range(len(one.components)), key=lambda at: -reach.get(f"{one.axis}:{one.components[at]}", 0.0))
        if len(order) >= 3:
            found.append(_ternary(belief, block.start, one, sorted(order[:3])))
    return found


def _ternary(belief: Belief, start: int, one: Simplex, three: Sequence[int]) -> Ternary:
    whole = sum(one.prior[at] for at in three)
    steps = [(a, b, TERNARY - a - b) for a in range(TERNARY + 1) for b in range(TERNARY + 1 - a)]
    shares = np.array(steps, np.float64) / TERNARY * whole
    rows = np.repeat(belief.task.space.row(belief.task.space.prior)[None], len(shares), axis=0)
    rows[:, [start + at for at in three]] = shares
    fine = belief.task.space.allows(rows)
    mean, sd = belief.predict(rows)
    points = np.column_stack([shares, mean, sd])[fine]
    return Ternary(one.axis, [one.components[at] for at in three], points.tolist())


def pairs(belief: Belief, level: float, draws: int, dice: np.random.Generator) -> list[Pair]:
    """Of simplices of more than three components, which no picture shows whole: every two that can trade shares."""
    space, found = belief.task.space, list[tuple[str, list[str], Floats]]()
    prior, rows = space.row(space.prior), list[Floats]()
    for block, one in zip(space.blocks, space.simplices, strict=False):
        for a, b in combinations(range(len(one.components)), 2) if len(one.components) > 3 else ():
            both = one.prior[a] + one.prior[b]
            grid = np.linspace(max(one.low[a], both - one.high[b]), min(one.high[a], both - one.low[b]), POINTS)
            if grid[-1] - grid[0] > 1e-6:
                moved = np.repeat(prior[None], POINTS, axis=0)
                moved[:, block.start + a], moved[:, block.start + b] = grid, both - grid
                rows.append(moved)
                found.append((one.axis, [one.components[a], one.components[b]], grid))
    if not found:
        return []
    whole = np.concatenate(rows)
    three = [
        np.reshape(each, (-1, POINTS)).tolist()
        for each in _told(belief.draws(whole, draws, dice), belief.predict(whole)[0], level)
    ]
    return [Pair(axis, names, grid.tolist(), *told) for (axis, names, grid), *told in zip(found, *three, strict=True)]
