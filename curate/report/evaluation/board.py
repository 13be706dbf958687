"""Benchmarks x models x shots x conditions, read out of evaluation folders: the one table behind every part of the page."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from curate.benches import Bench
from curate.errors import InputError, IntegrityError
from curate.evaluations import CONDITIONS, EvaluatedBench, Row
from curate.report.charts import nice_ticks
from curate.report.evaluation.models import Model
from curate.statistics import Interval, by_group, over_seeds

DRAWS = 4000
"""Of the bootstrap over seeds and groups; bounds wobble by a tenth of a point."""
GRADED = "cider"
"""The metric that is no share: 0 to 10."""
CAPTION = (GRADED, "rouge-l")
"""Metrics that are no accuracy, and enter no mean with one."""
MOST_TOLD = 12
"""Warnings about items that did not fit."""
TAMPERED = ("text", "shuffled", "swapped")
"""Conditions under which the demonstrations tell nothing, so that a score above chance comes from elsewhere."""


@dataclass(frozen=True)
class Score:
    """What a model has got on a benchmark under a condition at a number of shots."""

    value: float
    low: float
    high: float
    invariant: float | None  # share of groups of which all arrangements are right
    items: int  # of one run
    groups: int
    skipped: int  # items that did not fit, the most of any run
    runs: tuple[float, ...]  # of every seed
    copies: Mapping[str, float]


@dataclass(frozen=True)
class Task:
    """A benchmark under one of its metrics."""

    bench: str
    digest: str
    metric: str
    domain: str
    title: str
    label: str  # the name it has on the page
    shots: tuple[int, ...]  # of "full" and "none", ascending
    top: float  # where the axis ends
    chance: Mapping[int, float] = field(compare=False)  # by shots
    baselines: Mapping[int, Mapping[str, float]] = field(compare=False)  # shots -> answerer without a model -> score

    @property
    def is_share(self) -> bool:
        """Whether scores are shares of 1."""
        return self.metric != GRADED

    @property
    def is_accuracy(self) -> bool:
        """Whether scores are shares of right answers."""
        return self.metric not in CAPTION

    @property
    def alone(self) -> bool:
        """Whether it asks about single pictures only, without demonstrations."""
        return self.shots == (0,)

    def said(self, value: float | None) -> str:
        """A score in words: per cent, or CIDEr as it is."""
        return "–" if value is None else f"{100 * value:.1f}" if self.is_share else f"{value:.2f}"


@dataclass
class Board:
    """All scores of a page."""

    models: list[Model]
    tasks: list[Task] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _rows: dict[tuple[int, int], dict[tuple[str, ...], Row]] = field(default_factory=dict)
    _known: dict[tuple[str, ...], Score | None] = field(default_factory=dict)

    @classmethod
    def of(cls, models: Sequence[Model]) -> "Board":
        """The board of models; InputError when none of them has a result yet."""
        board = cls(list(models))
        for model in models:
            for at, run in enumerate(model.runs):
                rows = [row for row in run.rows if _sound(row)]
                board._rows[model.series, at] = {_key(row): row for row in rows}
                board._notice(model, at, len(run.rows) - len(rows), bool(rows))
        board.tasks = board._tasks()
        board._tell_skipped()
        if not board.tasks:
            raise InputError("no evaluation has a result yet; let curate evaluate finish")
        return board

    @property
    def benches(self) -> list[Task]:
        """One task a benchmark: that of its first metric."""
        return list({(task.bench, task.digest): task for task in reversed(self.tasks)}.values())[::-1]

    def score(self, model: Model, task: Task, condition: str, shots: int) -> Score | None:
        """A model's score; of several seeds their mean, with an interval over seeds and groups. None where it was not asked.

        True zero-shot is one thing under two names, "none" and "full" at 0 shots: either stands for the other.
        """
        key = (str(model.series), task.digest, task.metric, condition, str(shots))
        if key not in self._known:
            names = ("none", "full") if shots == 0 and condition in ("none", "full") else (condition,)
            names = names[::-1] if condition == "full" else names
            found = (self._score(model, task, name, shots) for name in names)
            self._known[key] = next((score for score in found if score), None)
        return self._known[key]

    def row(self, model: Model, at: int, task: Task, condition: str, shots: int) -> Row | None:
        """The row of one run of a model."""
        return self._rows[model.series, at].get((task.bench, task.digest, task.metric, condition, str(shots)))

    def stored(self, model: Model, task: Task, shots: int) -> str:
        """The condition under which a model's score proper lies: "full", or "none" where only that was asked at 0 shots."""
        return "full" if shots or self.row(model, 0, task, "full", 0) else "none"

    def rights(self, model: Model, task: Task, condition: str, shots: int) -> list[dict[str, float]]:
        """For every run of a model the mean of each group's answers; [] where the metric is not the mean of its answers."""
        tables = []
        for at, run in enumerate(model.runs):
            row = self.row(model, at, task, condition, shots)
            answers = run.answers(task.bench, condition, shots) if row else []
            if row is None or not answers or len(answers) != row.items:
                return []
            rights, groups = [answer.right for answer in answers], [answer.group for answer in answers]
            if not abs(sum(rights) / len(rights) - row.score) <= 1e-4 or not all(isinstance(name, str) for name in groups):
                return []  # also where a damaged file says NaN
            tables.append(by_group(rights, groups))
        return tables

    def focus(self, task: Task) -> int:
        """The largest number of shots that every model was asked at, else the largest of any."""
        asked = [[s for s in task.shots if self.score(model, task, "full", s)] for model in self.models]
        common = set(task.shots).intersection(*(shots for shots in asked if shots))
        return max(common or task.shots)

    def control_focus(self, task: Task) -> int:
        """The largest number of shots at which most models have been asked with demonstrations that were tampered with, and
        the focus where none was: controls may be asked at fewer shots than the score."""
        rows = [key for table in self._rows.values() for key in table if key[:3] == (task.bench, task.digest, task.metric)]
        counts = Counter(int(shots) for *_, condition, shots in rows if condition in TAMPERED)
        return max(counts, key=lambda shots: (counts[shots], shots), default=self.focus(task))

    def bench(self, task: Task) -> Bench | None:
        """The benchmark's folder, where one of the evaluations still finds it."""
        runs = [run for model in self.models for run in model.runs]
        known = (run.bench(task.bench) for run in runs if _entry(run.manifest.benches, task.bench, task.digest))
        return next((bench for bench in known if bench), None)

    def _score(self, model: Model, task: Task, condition: str, shots: int) -> Score | None:
        found = [self.row(model, at, task, condition, shots) for at in range(len(model.runs))]
        rows = [row for row in found if row]
        if not rows:
            return None
        value, interval = _mean([row.score for row in rows]), None
        if len(rows) > 1:
            interval = _interval(self.rights(model, task, condition, shots))
        low, high = (
            (interval.low, interval.high) if interval else (_mean([r.low for r in rows]), _mean([r.high for r in rows]))
        )
        sure = [row.invariant for row in rows if row.invariant is not None]
        copies = {name: _mean([row.copies.get(name, 0.0) for row in rows]) for name in rows[0].copies}
        size = (rows[0].items, rows[0].groups, max(row.skipped for row in rows))
        return Score(value, low, high, _mean(sure) if sure else None, *size, tuple(row.score for row in rows), copies)

    def _tasks(self) -> list[Task]:
        rows = [row for table in self._rows.values() for row in table.values()]
        keys = dict.fromkeys((row.bench, row.digest, row.metric) for row in rows)
        digests: dict[str, set[str]] = {}
        for bench, digest, _ in keys:
            digests.setdefault(bench, set()).add(digest)
        for bench in sorted(name for name, found in digests.items() if len(found) > 1):
            self.warnings.append(f"models were asked different versions of {bench}; they stand apart and are not compared")
        return [
            self._task(key, [r for r in rows if (r.bench, r.digest, r.metric) == key], digests, list(keys)) for key in keys
        ]

    def _task(
        self, key: tuple[str, str, str], rows: list[Row], digests: dict[str, set[str]], keys: list[tuple[str, str, str]]
    ) -> Task:
        bench, digest, metric = key
        full = [row for row in rows if row.condition in ("full", "none")]
        entries = (e for m in self.models for run in m.runs if (e := _entry(run.manifest.benches, bench, digest)))
        entry = next(entries, None)
        label = bench + (f" ({digest[:6]})" if len(digests[bench]) > 1 else "")
        label += f", {metric}" if sum(other[:2] == key[:2] for other in keys) > 1 else ""
        chance = {row.shots: row.chance for row in full if row.chance is not None}
        baselines = {row.shots: row.baselines for row in full if row.baselines}
        top = 1.0 if metric != GRADED else nice_ticks(10 * max((r.score for r in rows), default=0.0))[-1] / 10
        shots = tuple(sorted({row.shots for row in full})) or (0,)
        return Task(*key, rows[0].domain, entry.title if entry else "", label, shots, top, chance, baselines)

    def _notice(self, model: Model, at: int, unsound: int, some: bool) -> None:
        name = model.name if len(model.runs) == 1 else f"{model.name}, run {at + 1}"
        if unsound:
            self.warnings.append(f"{name}: {unsound:,} rows of results.json are damaged and left out")
        elif not some:
            self.warnings.append(f"{name} has no results yet; its evaluation is not finished")

    def _tell_skipped(self) -> None:
        """Items that did not fit count as wrong, so a reader has to know of them."""
        told = []
        for model in self.models:
            rows = {key: row for at in range(len(model.runs)) for key, row in self._rows[model.series, at].items()}
            for row in rows.values():
                if row.skipped and row.condition == "full":
                    place = f"{row.skipped:,} of {row.items:,} items of {row.bench} at {row.shots} shots"
                    told.append(f"{model.name}: {place} did not fit the model and count as wrong")
        told = list(dict.fromkeys(told))  # once a benchmark, whatever its metrics
        more = [f"and {len(told) - MOST_TOLD:,} more such"] if len(told) > MOST_TOLD else []
        self.warnings += told[:MOST_TOLD] + more


def _key(row: Row) -> tuple[str, ...]:
    return row.bench, row.digest, row.metric, row.condition, str(row.shots)


def _entry(benches: Sequence[EvaluatedBench], name: str, digest: str) -> EvaluatedBench | None:
    return next((bench for bench in benches if (bench.name, bench.digest) == (name, digest)), None)


def _interval(tables: list[dict[str, float]]) -> Interval | None:
    try:
        return over_seeds([tables], draws=DRAWS) if tables else None
    except (InputError, IntegrityError):  # runs that were not asked the same
        return None


def _sound(row: Row) -> bool:
    """Whether a row of a file that anyone may have written holds what it should."""
    numbers = [row.score, row.low, row.high, row.shots, row.items, row.groups, row.skipped]
    numbers += [value for value in (row.chance, row.invariant) if value is not None]
    tables: list[object] = [row.baselines, row.copies]
    numbers += [value for table in tables if isinstance(table, dict) for value in table.values()]
    shaped = all(isinstance(table, dict) for table in tables)
    counted = all(isinstance(n, int) and n >= 0 for n in (row.shots, row.items, row.groups, row.skipped))
    named = all(isinstance(text, str) for text in (row.bench, row.digest, row.domain, row.metric))
    known = shaped and named and counted and row.condition in CONDITIONS
    return known and all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1e6 for n in numbers)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
