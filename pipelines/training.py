"""A training run on the terminal: a bar with loss, pace and time left, or plain lines where nobody watches."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.console import say

if TYPE_CHECKING:
    from train.metrics import Row, Watch


@contextmanager
def watching() -> "Iterator[Watch]":
    """A Watch (train.metrics) for this terminal; it leaves the screen with the block, also after an error."""
    from train.metrics import Plain

    watch: Watch = Bar() if sys.stderr.isatty() else Plain(say)
    try:
        yield watch
    finally:
        watch.close()


class Bar:
    """A rich bar that moves at every step; under it what the last row of the log said. Validation leaves a line."""

    def __init__(self) -> None:
        self._live: Any = None
        self._bar: Any = None
        self._task: Any = None
        self._steps, self._below = 0, ""

    def begin(self, done: int, total: int) -> None:
        """Opens the bar."""
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._steps, loss = total, TextColumn("{task.fields[loss]}")
        self._bar = Progress(TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), loss)
        self._task = self._bar.add_task("", total=total, completed=done, loss="")
        self._live = Live(console=Console(stderr=True), transient=True, get_renderable=self._drawn, refresh_per_second=4)
        self._live.start()

    def _drawn(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        return Group(self._bar, Text(self._below, style="dim", overflow="ellipsis", no_wrap=True))

    def step(self, done: int) -> None:
        """Moves the bar."""
        if self._live is not None:
            self._bar.update(self._task, completed=done)

    def row(self, row: "Row") -> None:
        """Shows the row; a validation stays on the screen."""
        from train.metrics import told
        from train.metrics.line import facts

        last = row.get("step") == self._steps
        if row.get("kind") == "validation" or last or self._live is None:
            self.note(told(row, self._steps))
        if row.get("kind") == "train" and self._live is not None:
            loss = row.get("loss")
            self._bar.update(self._task, loss=f"loss {loss:.4f}" if isinstance(loss, float) else "loss not finite")
            self._below = "  ".join(facts(row))

    def note(self, message: str) -> None:
        """A line above the bar."""
        if self._live is None:
            say(message)
        else:
            from rich.text import Text

            self._live.console.print(Text(message))

    def close(self) -> None:
        """Takes the bar off the screen."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
