"""Evaluations on the terminal: settings from the command line, a bar with the time left, and the tables."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.console import say, table

if TYPE_CHECKING:
    from curate.comparisons import Compared
    from curate.evaluations import Evaluation, Row
    from train.evaluate.cells import EvaluateSettings
    from train.evaluate.evaluating import Planned
    from train.evaluate.reader import ReaderSettings

CONTROLS = ("text", "shuffled", "swapped")
BASELINES = ("knn", "copy-first", "copy-last", "copy-nearest", "majority")
SECONDS_BETWEEN_LINES = 15.0


def settings_of(wanted: Mapping[str, Any], overrides: Iterable[str]) -> "tuple[EvaluateSettings, ReaderSettings]":
    """Settings of the evaluation and of the reader; an override belongs to the one that knows its key."""
    from curate.settings import build, with_overrides
    from train.evaluate.cells import EvaluateSettings
    from train.evaluate.reader import ReaderSettings

    laid = with_overrides({}, overrides)
    own = {key: value for key, value in laid.items() if key in EvaluateSettings.model_fields}
    others = {key: value for key, value in laid.items() if key not in own}
    return build(EvaluateSettings, {**wanted, **own}), build(ReaderSettings, others)


@contextmanager
def watching() -> "Iterator[Watching]":
    """A Progress (train.evaluate.evaluating) for this terminal; it leaves the screen with the block, also after an error."""
    watch = Watching()
    try:
        yield watch
    finally:
        watch.close()


class Watching:
    """A bar over all items, or a plain line now and then where nobody watches."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._task: Any = None
        self._done = self._total = self._new = 0
        self._began = self._spoke = time.monotonic()

    def begin(self, done: int, total: int) -> None:
        """Opens the bar."""
        self._done, self._total = done, total
        self._began = self._spoke = time.monotonic()
        if done:
            say(f"going on: {done:,} of {total:,} items are answered")
        if sys.stderr.isatty():
            self._open()

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._bars.start()
        self._task = self._bars.add_task("", total=self._total, completed=self._done)

    def answered(self, cell: str, items: int) -> None:
        """Moves the bar."""
        self._done, self._new = self._done + items, self._new + items
        if self._bars:
            self._bars.update(self._task, completed=self._done, description=cell)
        elif time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            pace = self._new / (self._spoke - self._began)
            left = (self._total - self._done) / pace
            say(f"{cell}: {self._done:,} of {self._total:,} items, {pace:.1f} items/s, {left:,.0f} s left")

    def note(self, message: str) -> None:
        """A line."""
        say(message)

    def close(self) -> None:
        """Takes the bar off the screen."""
        if self._bars:
            self._bars.stop()
            self._bars = None


def tell_plan(cells: "Sequence[Planned]") -> None:
    """What would be asked."""
    rows = [(p.cell.bench.name, p.cell.condition, str(p.cell.shots), f"{p.items:,}", f"{p.done:,}") for p in cells]
    rows.append(("in all", "", "", f"{sum(p.items for p in cells):,}", f"{sum(p.done for p in cells):,}"))
    table("would ask", ("benchmark", "condition", "shots", "items", "answered"), rows, left=2)


def tell_rows(evaluation: "Evaluation") -> None:
    """Scores with their controls and baselines beside them, in points; captions in CIDEr x 100 and ROUGE-L x 100."""
    rows = evaluation.rows
    shown = [row for row in rows if row.condition in ("full", "none")]
    used = [name for name in BASELINES if any(name in row.baselines for row in shown)]
    head = ("benchmark", "metric", "shots", "score", "95 %", "all orders", *CONTROLS, "chance", *used, "groups", "skipped")
    cells = [_cells(row, rows, used) for row in shown]
    alone = [column for column, name in enumerate(head) if column > 2 and all(not line[column] for line in cells)]
    kept = [column for column in range(len(head)) if column not in alone]
    table(evaluation.name, [head[at] for at in kept], [[line[at] for at in kept] for line in cells], left=2)


def _cells(row: "Row", rows: "Sequence[Row]", baselines: Sequence[str]) -> list[str]:
    beside = {(r.condition): r for r in rows if (r.bench, r.shots, r.metric) == (row.bench, row.shots, row.metric)}
    controls = [points(beside[name].score if name in beside and row.shots else None) for name in CONTROLS]
    known = [points(row.baselines.get(name)) for name in baselines]
    interval = f"{points(row.low)} to {points(row.high)}"
    skipped = f"{row.skipped:,}" if row.skipped else ""
    return [row.bench, row.metric, str(row.shots), points(row.score), interval, points(row.invariant), *controls,
            points(row.chance), *known, f"{row.groups:,}", skipped]  # fmt: skip


def points(share: float | None, sign: bool = False) -> str:
    """A share in points: 0.5 is 50.0."""
    return "" if share is None else f"{100 * share:{'+' if sign else ''}.1f}"


def tell_comparisons(rows: "Sequence[Compared]") -> None:
    """Differences in points."""
    table(
        f"against {rows[0].against}, points",
        ("model", "benchmark", "condition", "shots", "score", "against", "difference", "95 %", "p", "p (Holm)", "groups"),
        [
            (row.model, row.bench, row.condition, row.shots, points(row.score), points(row.against_score),
             points(row.difference, sign=True), f"{points(row.low, True)} to {points(row.high, True)}", probability(row.p),
             probability(row.p_holm), f"{row.groups:,}")
            for row in rows
        ],
        left=3,
    )  # fmt: skip


def probability(p: float) -> str:
    """A p-value in few digits."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
