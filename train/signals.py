"""SIGTERM and Ctrl-C let the step in hand end, and ask for a checkpoint; a second Ctrl-C ends at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.parallel.ranks import Ranks


class Asked:
    """Which signal asked to stop, 0 for none."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        self.signal = number
        if number == signal.SIGINT:  # the next one is the interpreter's own
            signal.signal(signal.SIGINT, signal.default_int_handler)


class Stopped(Exception):
    """Asked to stop before there was anything to save."""


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """Listens while the block runs; outside the main thread, where Python hears no signals, it never hears one."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Decision:
    """Whether the ranks stop before the next step, decided once a step so that all hear the same."""

    def __init__(self, ranks: "Ranks", asked: Asked) -> None:
        self._ranks, self._asked = ranks, asked
        self._step, self._wanted = -1, False

    def wanted(self, step: int) -> bool:
        """Every rank must ask."""
        if step != self._step:
            self._step, self._wanted = step, self._ranks.any(bool(self._asked.signal))
        return self._wanted
