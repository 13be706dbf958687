"""How the command line talks: errors in one line, a bar on a terminal, quiet plain lines elsewhere."""

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from curate.engine import Receipt, StageManifest


def fail(message: str, code: int = 2) -> NoReturn:
    """Prints a one-line error and leaves."""
    typer.secho(f"error: {message}", err=True, fg=typer.colors.RED)
    raise SystemExit(code)


def say(message: str) -> None:
    """A line for people, on standard error, so that standard output stays for data."""
    typer.echo(message, err=True)


def now_and_then(seconds: float = 5.0) -> "Callable[[str], None]":
    """A `say` for work of many steps: it lets a line pass now and then."""
    spoke = time.monotonic()

    def say_sometimes(message: str) -> None:
        nonlocal spoke
        if time.monotonic() - spoke >= seconds:
            spoke = time.monotonic()
            say(message)

    return say_sometimes


def answer(value: Any) -> None:
    """A value for scripts: one JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(title: str, head: "Sequence[str]", rows: "Sequence[Sequence[object]]", left: int = 1) -> None:
    """A table for people, on standard error; the first `left` columns are words, the others figures."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title), title_justify="left")
    for index, name in enumerate(head):
        drawn.add_column(Text(name), justify="left" if index < left else "right", no_wrap=index == 0)
    for row in rows:
        drawn.add_row(*[Text(str(cell)) for cell in row])
    Console(stderr=True).print(drawn)


def report_stage(manifest: "StageManifest", as_json: bool, **more: object) -> None:
    """The last word of a stage's command: counts and reasons, as a table or as JSON."""
    if as_json:
        keys = ("stage", "counts", "dropped", "rejected")
        answer({**{key: getattr(manifest, key) for key in keys}, "digest": manifest.digest, **more})
        return
    rows = [(f"{key} records", f"{value:,}") for key, value in manifest.counts.items()]
    rows += [(f"  dropped: {reason}", f"{n:,}") for reason, n in manifest.dropped.items()]
    rows += [(f"  rejected: {reason}", f"{n:,}") for reason, n in manifest.rejected.items()]
    rows += [(key.replace("_", " "), str(value)) for key, value in more.items()]
    table(manifest.stage, ("", "count"), rows)


def default_workers() -> int:
    """One worker a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Watch:
    """A Progress (see curate.engine) for the terminal: one rich bar a stage, or a plain line now and then."""

    SECONDS_BETWEEN_LINES = 5.0

    def __init__(self) -> None:
        self._bars: Any = None
        self._task: Any = None
        self._stage = ""
        self._total = self._done = self._records = 0
        self._began = self._spoke = time.monotonic()

    def start(self, stage: str, total: int, done: int) -> None:
        """Opens the stage's bar."""
        self._stage, self._total, self._done, self._records = stage, total, done, 0
        self._began = self._spoke = time.monotonic()
        if sys.stderr.isatty():
            self._open_bar()
        elif done:
            say(f"{stage}: going on, {done} of {total} parts are there")

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._bars.start()
        self._task = self._bars.add_task(self._stage, total=self._total, completed=self._done)

    def advance(self, receipt: "Receipt") -> None:
        """Moves the bar by one part."""
        self._done += 1
        self._records += receipt.seen
        if self._bars:
            self._bars.advance(self._task)
        elif time.monotonic() - self._spoke > self.SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            rate = self._records / (self._spoke - self._began)
            say(f"{self._stage}: {self._done} of {self._total} parts, {rate:,.0f} records/s")

    def finish(self, manifest: "StageManifest") -> None:
        """Closes the bar and leaves one line."""
        self.close()
        counts = manifest.counts
        lost = f", {counts['dropped']:,} dropped, {counts['rejected']:,} rejected"
        say(f"{self._stage}: {counts['in']:,} in, {counts['out']:,} out{lost} ({time.monotonic() - self._began:.1f} s)")

    def close(self) -> None:
        """Takes the bar off the screen, also after an error."""
        if self._bars:
            self._bars.stop()
            self._bars = None
