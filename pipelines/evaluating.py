"""Evaluations on the terminal: settings from the command line, a bar with the time left, and the tables."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.console import say, table

if TYPE_CHECKING:
    from curate.benches import Bench
    from curate.comparisons import Compared
    from curate.evaluations import Cost, Evaluation, Row
    from train.evaluate.cells import EvaluateSettings
    from train.evaluate.evaluating import Planned
    from train.evaluate.reader import ReaderSettings

CONTROLS = ("text", "shuffled", "swapped")
COPIES = ("copy-first", "copy-last", "majority")
HEAD = ("shots", "score", "95 %", "orders", *CONTROLS, "knn", "copies", "skipped")
"""orders: position-invariant accuracy. copies: the best of answerers that only copy."""

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
    """A table a benchmark: its score at each number of shots with the controls beside it, in points (captions: x 100)."""
    for (bench, metric), rows in _grouped(evaluation.rows).items():
        shown = [row for row in rows if row.condition in ("full", "none")] or rows
        cells = [_cells(row, rows) for row in shown]
        kept = [at for at in range(len(HEAD)) if at < 3 or any(line[at] for line in cells)]
        chance = f", chance {points(shown[-1].chance)}" if shown[-1].chance is not None else ""
        title = f"{bench} ({metric}, {shown[-1].groups:,} groups{chance})"
        table(title, [HEAD[at] for at in kept], [[line[at] for at in kept] for line in cells])
    say(f"{evaluation.name}: {evaluation.folder.uri}")


def _grouped(rows: "Sequence[Row]") -> "dict[tuple[str, str], list[Row]]":
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.bench, row.metric), []).append(row)
    return found


def _cells(row: "Row", rows: "Sequence[Row]") -> list[str]:
    beside = {other.condition: other.score for other in rows if other.shots == row.shots}
    controls = [points(beside.get(name)) if row.shots else "" for name in CONTROLS]
    copying = [share for name, share in row.baselines.items() if name in COPIES]
    interval = f"{100 * row.low:.0f}–{100 * row.high:.0f}"
    own = [str(row.shots), points(row.score), interval, points(row.invariant)]
    return [*own, *controls, points(row.baselines.get("knn")), points(max(copying, default=None)), f"{row.skipped or ''}"]


def points(share: float | None, sign: bool = False) -> str:
    """A share in points: 0.5 is 50.0."""
    return "" if share is None else f"{100 * share:{'+' if sign else ''}.1f}"


def measured_costs(
    model: str, benches: "Sequence[Bench]", out: str, settings: "EvaluateSettings", reading: "ReaderSettings", questions: int
) -> "list[Cost]":
    """What so many questions of each benchmark cost on this machine; written to `out`/costs.json."""
    from curate.evaluations import write_costs
    from curate.storage import Folder
    from train.evaluate.costs import costs
    from train.evaluate.reader import VlmReader

    say(f"measuring what {questions} questions cost, cold and warm")
    found = costs(lambda how: VlmReader.load(model, how), benches, reading, settings, questions)
    write_costs(Folder.of(out), found)
    return found


def tell_costs(found: "Sequence[Cost]") -> None:
    """A table a benchmark: cold / warm at each number of shots."""
    for bench in dict.fromkeys(cost.bench for cost in found):
        mine = [cost for cost in found if cost.bench == bench]
        lines = dict.fromkeys((cost.shots, cost.condition) for cost in mine)
        pairs = [[cost for cost in mine if (cost.shots, cost.condition) == line] for line in sorted(lines)]
        cells = [
            (str(cold.shots), f"{cold.prompt_tokens:,.0f}", f"{1e3 * cold.first_token:,.0f}", f"{1e3 * warm.first_token:,.0f}",
             _mib(cold.peak_mib), _mib(warm.peak_mib), f"{cold.per_second:,.1f}", f"{warm.per_second:,.1f}")
            for cold, warm in pairs
        ]  # fmt: skip
        head = ("shots", "prompt tokens", "cold ms", "warm ms", "cold MiB", "warm MiB", "cold /s", "warm /s")
        title = f"what {mine[0].questions} questions of {bench} cost: first token, peak of memory, questions a second"
        table(title, head, cells)


def _mib(held: float | None) -> str:
    return "" if held is None else f"{held:,.0f}"


def tell_comparisons(rows: "Sequence[Compared]") -> None:
    """A table a model: its gain over the first, in points."""
    for model in dict.fromkeys(row.model for row in rows):
        cells = [
            (row.bench if row.condition == "full" else f"{row.bench} ({row.condition})", str(row.shots), points(row.score),
             points(row.against_score), points(row.difference, sign=True), f"{100 * row.low:+.0f}…{100 * row.high:+.0f}",
             probability(row.p_holm))
            for row in rows if row.model == model
        ]  # fmt: skip
        head = ("benchmark", "shots", "score", "against", "gain", "95 %", "p (Holm)")
        table(f"{model} against {rows[0].against}, points", head, cells)


def probability(p: float) -> str:
    """A p-value in few digits."""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"
