"""Intervals and tests over groups of answers: bootstrap, sign-flip permutation, Holm's correction.

Items of a group ask the same question in other arrangements, so they are right or wrong together: groups are drawn, never
items. A score is the mean over items, that is, the sum over groups of `right` divided by the sum of `items`. Everything is
seeded, and exact where enumerating is cheap: equal inputs give equal figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np
import numpy.typing as npt

from curate.errors import InputError

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
DRAWS = 10_000
EXACT_BOOTSTRAP = 7
"""Groups up to which all C(2n-1, n) resamples are weighed instead of drawn: 1,716 for seven."""
EXACT_FLIPS = 16
"""Groups up to which all 2^n sign vectors are tried: 65,536 for sixteen."""
CELLS = 4_000_000
"""Elements of the largest array that a step of a bootstrap or test makes, 32 MB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its percentile bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models' answers to the same groups: A's score minus B's."""

    difference: float
    low: float  # paired percentile bootstrap over groups
    high: float
    p: float  # two-sided paired sign-flip test over groups; never 0
    groups: int


def bootstrap(
    values: Sequence[float], groups: Sequence[str], level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean of `values` (one an item) and its interval, groups being drawn with replacement.

    Where all groups score alike (all right, all wrong, or each half, as a copying model does), resampling could not tell
    anything: there, by Clopper and Pearson, up to 1 - tail^(1/groups) of all groups may yet be otherwise, from 0 to 1.
    InputError without values.
    """
    sums, sizes = group_sums(values, groups)
    mean, tail = float(sums.sum() / sizes.sum()), (1 - level) / 2
    if np.allclose(sums, sizes * mean, rtol=0, atol=1e-9):
        unseen = 1 - tail ** (1 / len(sums))
        return Interval(mean, mean * (1 - unseen), mean + unseen * max(0.0, 1 - mean))
    low, high = _percentiles(sums, sizes, tail, draws, seed)
    return Interval(mean, low, high)


def compare(
    a: Sequence[float], b: Sequence[float], groups: Sequence[str], level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """A against B over the same items in the same order: difference of the means, its interval, and a p-value."""
    if len(a) != len(b):
        raise InputError(f"{len(a)} answers cannot be paired with {len(b)}")
    sums, sizes = group_sums([x - y for x, y in zip(a, b, strict=True)], groups)
    low, high = _percentiles(sums, sizes, (1 - level) / 2, draws, seed)
    return Comparison(float(sums.sum() / sizes.sum()), low, high, sign_flip(sums, draws, seed), len(sums))


def sign_flip(differences: Sequence[float] | Floats, draws: int = DRAWS, seed: int = 0) -> float:
    """Two-sided p-value that paired differences (one a group) are symmetric around 0.

    All sign vectors up to 16 groups that differ; beyond, `draws` random ones, and p = (as extreme + 1) / (draws + 1), which is
    valid (Phipson and Smyth 2010). 1.0 where nothing differs.
    """
    known = np.asarray(differences, np.float64)
    known = known[known != 0]
    if not len(known):
        return 1.0
    bar = abs(known.sum()) - 1e-9 * np.abs(known).sum()  # equal sums must count as equal, whatever the order of adding
    if len(known) <= EXACT_FLIPS:
        signs = 1 - 2 * (np.arange(2 ** len(known))[:, None] >> np.arange(len(known)) & 1)
        return float(np.mean(np.abs(signs @ known) >= bar))
    dice, extreme = np.random.default_rng(seed), 0
    for rows in _batches(draws, len(known)):
        signs = dice.integers(0, 2, (rows, len(known))) * 2 - 1
        extreme += int(np.sum(np.abs(signs @ known) >= bar))
    return (extreme + 1) / (draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm 1979), in the order given: below .05 means significant with all tests together at 5 %."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def over_seeds(
    tables: Sequence[Sequence[Mapping[str, float]]], level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean over benchmarks of the mean over seeds and groups, with an interval that has both in it.

    `tables[b][s]` maps a group of benchmark b to what the run of seed s gained or scored there. A draw takes seeds, the same
    for all benchmarks, and groups for each benchmark, the same for all seeds. All runs of a benchmark must have the same
    groups, and every benchmark the same number of seeds; InputError otherwise.
    """
    if not tables or not tables[0]:
        raise InputError("there is nothing to draw from")
    arrays = [_table(runs) for runs in tables]
    seeds = arrays[0].shape[0]
    if any(array.shape[0] != seeds for array in arrays):
        raise InputError("every benchmark needs a run of every seed")
    dice = np.random.default_rng(seed)
    runs = dice.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds  # [draws, S] shares
    total = np.zeros(draws)
    for array in arrays:
        count = array.shape[1]
        for rows in _slices(draws, count):
            groups = dice.multinomial(count, np.full(count, 1 / count), rows.stop - rows.start) / count
            total[rows] += np.einsum("ds,sg,dg->d", runs[rows], array, groups, optimize=True)
    tail = (1 - level) / 2
    low, high = np.quantile(total / len(arrays), [tail, 1 - tail])
    return Interval(float(np.mean([array.mean() for array in arrays])), float(low), float(high))


def by_group(values: Sequence[float], groups: Sequence[str]) -> dict[str, float]:
    """The mean of each group, in order of first appearance."""
    sums, sizes = group_sums(values, groups)
    return dict(zip(dict.fromkeys(groups), (sums / sizes).tolist(), strict=True))


def group_sums(values: Sequence[float], groups: Sequence[str]) -> tuple[Floats, Floats]:
    """Sum [G] of the values and number [G] of the items of each group, in order of first appearance."""
    if len(values) != len(groups) or not len(values):
        raise InputError(f"{len(values)} values of {len(groups)} items cannot be scored")
    codes = {name: code for code, name in enumerate(dict.fromkeys(groups))}
    where = np.array([codes[name] for name in groups])
    sums, sizes = np.bincount(where, np.asarray(values, np.float64)), np.bincount(where)
    return sums.astype(np.float64), sizes.astype(np.float64)


def _percentiles(sums: Floats, sizes: Floats, tail: float, draws: int, seed: int) -> tuple[float, float]:
    if len(sums) <= EXACT_BOOTSTRAP:
        means, weights = _all_resamples(sums, sizes)
        order = np.argsort(means, kind="stable")
        reached = np.cumsum(weights[order])
        at = np.searchsorted(reached, [tail - 1e-12, 1 - tail - 1e-12])
        return float(means[order[at[0]]]), float(means[order[min(at[1], len(order) - 1)]])
    dice, means = np.random.default_rng(seed), np.empty(draws)
    for rows in _slices(draws, len(sums)):
        counts = dice.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), rows.stop - rows.start)
        means[rows] = (counts @ sums) / (counts @ sizes)
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _all_resamples(sums: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """The mean of every multiset of n of the n groups, and its probability."""
    n = len(sums)
    counts = np.array([np.bincount(pick, minlength=n) for pick in combinations_with_replacement(range(n), n)])
    ways = np.array([factorial(n) / prod(map(factorial, row)) for row in counts.tolist()])
    return (counts @ sums) / (counts @ sizes), ways / n**n


def _table(runs: Sequence[Mapping[str, float]]) -> Floats:
    """[S, G] values, groups in one order."""
    names = list(runs[0])
    if not names or any(set(run) != set(names) for run in runs):
        raise InputError("the runs of a benchmark must have answered the same groups")
    return np.array([[run[name] for name in names] for run in runs], np.float64)


def _batches(draws: int, width: int) -> list[int]:
    return [rows.stop - rows.start for rows in _slices(draws, width)]


def _slices(draws: int, width: int) -> list[slice]:
    step = max(1, CELLS // width)
    return [slice(first, min(first + step, draws)) for first in range(0, draws, step)]
