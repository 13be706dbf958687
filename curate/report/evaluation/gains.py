"""Models beside a reference: differences with intervals over the groups and seeds that both answered."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from curate.errors import InputError
from curate.report.evaluation.board import DRAWS, Board, Task
from curate.report.evaluation.models import Model
from curate.statistics import holm, over_seeds, sign_flip

Table = dict[str, float]
"""Group -> what was gained there."""


@dataclass(frozen=True)
class Gain:
    """A model's score minus the reference's, both as accuracies (CIDEr as it is)."""

    value: float
    low: float | None  # None where answers cannot be paired
    high: float | None
    p: float | None  # two-sided sign-flip over groups, Holm-adjusted over all gains of the page
    groups: int = 0

    @property
    def sure(self) -> int:
        """1: above the reference, -1: below it, 0: the interval holds zero, or there is none."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)


@dataclass(frozen=True)
class Gains:
    """All gains over one reference."""

    reference: Model
    models: Sequence[Model]  # the others
    of: dict[tuple[int, Task], Gain] = field(default_factory=dict)  # (series, task)
    means: dict[tuple[int, str], Gain] = field(default_factory=dict)  # (series, domain), "" for all tasks


def gains_of(board: Board, reference: Model, tasks: Sequence[Task], shots: "dict[Task, int]") -> Gains:
    """The gains of all other models on tasks, each at the number of shots given for it; means over accuracies."""
    others = [model for model in board.models if model is not reference]
    found, p_values, tables = {}, {}, {}
    for model in others:
        for task in tasks:
            table = paired(board, model, reference, task, shots[task])
            gain = _gain(board, model, reference, task, shots[task], table)
            if gain:
                found[model.series, task] = gain
            if table:
                p_values[model.series, task] = sign_flip(
                    [sum(g) / len(g) for g in zip(*(t.values() for t in table), strict=True)]
                )
                tables[model.series, task] = table
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    gains = {key: Gain(g.value, g.low, g.high, adjusted.get(key), g.groups) for key, g in found.items()}
    return Gains(reference, others, gains, _means(others, tasks, gains, tables))


def paired(board: Board, model: Model, reference: Model, task: Task, shots: int) -> list[Table]:
    """For each run of a model its groups' means minus the reference's: the run of the same place where both have as many,
    else the mean of the reference's runs. [] where they did not answer the same groups."""
    mine, theirs = (board.rights(one, task, board.stored(one, task, shots), shots) for one in (model, reference))
    groups = {frozenset(table) for table in (*mine, *theirs)}
    if not mine or not theirs or len(groups) > 1:
        return []
    if len(mine) != len(theirs):
        average = {group: sum(table[group] for table in theirs) / len(theirs) for group in theirs[0]}
        theirs = [average] * len(mine)
    names = list(mine[0])
    return [{g: mine_[g] - theirs_[g] for g in names} for mine_, theirs_ in zip(mine, theirs, strict=True)]


def _gain(board: Board, model: Model, reference: Model, task: Task, shots: int, table: list[Table]) -> Gain | None:
    mine, theirs = (board.score(one, task, "full", shots) for one in (model, reference))
    if not mine or not theirs:
        return None
    if not table:
        return Gain(mine.value - theirs.value, None, None, None)
    interval = over_seeds([table], draws=DRAWS)
    return Gain(mine.value - theirs.value, interval.low, interval.high, None, len(table[0]))


def _means(
    models: Sequence[Model],
    tasks: Sequence[Task],
    gains: dict[tuple[int, Task], Gain],
    tables: dict[tuple[int, Task], list[Table]],
) -> dict[tuple[int, str], Gain]:
    """Over all accuracies, and over those of a domain where it has several."""
    accuracies = [task for task in tasks if task.is_accuracy]
    domains = {task.domain: [other for other in accuracies if other.domain == task.domain] for task in accuracies}
    sets = {"": accuracies} | {name: held for name, held in domains.items() if name and 1 < len(held) < len(accuracies)}
    means = {}
    for model in models:
        for name, held in sets.items():
            known = [gains[model.series, task] for task in held if (model.series, task) in gains]
            if len(known) == len(held) > 1:
                found = [tables.get((model.series, task), []) for task in held]
                means[model.series, name] = _mean_gain(known, found)
    return means


def _mean_gain(known: Sequence[Gain], tables: "list[list[Table]]") -> Gain:
    value, groups = sum(gain.value for gain in known) / len(known), sum(gain.groups for gain in known)
    try:
        interval = over_seeds(tables, draws=DRAWS) if all(tables) else None
    except InputError:  # benchmarks with different numbers of runs
        interval = None
    return Gain(value, interval.low, interval.high, None, groups) if interval else Gain(value, None, None, None)
