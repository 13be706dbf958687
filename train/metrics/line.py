"""What a person who waits is told. A bar is drawn elsewhere (pipelines/training.py); here is what there is to say."""

import time
from collections.abc import Callable
from typing import Protocol

from train.metrics.logbook import Row


class Watch(Protocol):
    """Hears how a run goes; only the first rank's is told anything."""

    def begin(self, done: int, total: int) -> None:
        """The run begins, `done` of `total` steps being done."""

    def step(self, done: int) -> None:
        """A step is done. Called at every step: must be quick."""

    def row(self, row: Row) -> None:
        """A row of the log."""

    def note(self, message: str) -> None:
        """Something beside the rows: the model is being loaded, samples are being measured, a run goes on, remarks on data and
        checkpoints."""

    def close(self) -> None:
        """The run ended."""


class Silent:
    """A Watch that says nothing."""

    def begin(self, done: int, total: int) -> None:
        """Nothing."""

    def step(self, done: int) -> None:
        """Nothing."""

    def row(self, row: Row) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Plain(Silent):
    """Hands lines to `say`: validation always, training when some seconds have passed since the last line."""

    def __init__(self, say: Callable[[str], None], seconds: float = 5.0) -> None:
        self._say, self._seconds, self._steps = say, seconds, 0
        self._spoke = float("-inf")

    def begin(self, done: int, total: int) -> None:
        """A line."""
        self._steps = total
        self._say(f"training: going on, {done:,} of {total:,} steps are done" if done else f"training: {total:,} steps")

    def row(self, row: Row) -> None:
        """A line, if it is time; the last step always has one."""
        now = time.monotonic()
        if row.get("kind") == "train" and row.get("step") != self._steps and now - self._spoke < self._seconds:
            return
        self._spoke = now
        self._say(told(row, self._steps))

    def note(self, message: str) -> None:
        """A line."""
        self._say(message)


def told(row: Row, steps: int = 0) -> str:
    """A row in one line for people: step 40/200, loss 1.234, ..."""
    of = f"/{steps:,}" if steps else ""
    if row.get("kind") == "validation":
        return f"step {row['step']:,}{of}  validation loss {_loss(row)} over {row.get('tokens', 0):,} tokens"
    return "  ".join([f"step {row['step']:,}{of}", f"loss {_loss(row)}", *facts(row)])


def facts(row: Row) -> list[str]:
    """What a training row says besides its loss."""
    tokens, memory = row.get("tokens_per_s") or {}, row.get("memory_gb") or {}
    rate = "/".join(short(tokens[name]) for name in ("all", "real", "supervised") if name in tokens)
    said = [
        f"{rate} tok/s" if rate else "",
        f"{short(row['images_per_s'])} img/s" if row.get("images_per_s") else "",
        f"wait {row['data_wait']:.0%}" if "data_wait" in row else "",
        f"{memory['peak']:.1f} GB" if "peak" in memory else "",
        f"MFU {row['mfu']:.0%}" if "mfu" in row else "",
        f"{row['bad_steps']} skipped" if row.get("bad_steps") else "",
        f"{clock(row['eta_s'])} left" if row.get("eta_s") else "",
    ]
    return [one for one in said if one]


def _loss(row: Row) -> str:
    loss = row.get("loss")
    return f"{loss:.4f}" if isinstance(loss, float) else "not finite"


def short(value: float) -> str:
    """Three digits: 987, 1.23k, 45.6k, 1.2M."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


def clock(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3 h 05 min, 2 d 4 h."""
    minutes, hours = round(seconds / 60), int(seconds // 3600)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{hours} h {minutes - 60 * hours:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
