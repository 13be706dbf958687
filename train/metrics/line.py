"""What a person who waits is told. Drawing is done elsewhere (pipelines/training.py); here is what there is to say."""

from collections.abc import Callable
from typing import Protocol

from train.metrics.logbook import Row


class Watch(Protocol):
    """Hears how a run goes; only rank 0 calls it."""

    def begin(self, done: int, total: int) -> None:
        """The run begins, `done` of `total` steps being done."""

    def step(self, done: int) -> None:
        """A step is done. Called at every step: must be quick."""

    def row(self, row: Row) -> None:
        """A row of the log."""

    def note(self, message: str) -> None:
        """Something happened: a checkpoint, a skipped step."""

    def close(self) -> None:
        """The run ended, well or not."""


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
    """A Watch that hands plain lines to `say`, training rows at most every few seconds."""

    def __init__(self, say: Callable[[str], None], seconds: float = 5.0) -> None:
        raise NotImplementedError


def told(row: Row, total: int = 0) -> str:
    """A row in one line for people."""
    raise NotImplementedError
