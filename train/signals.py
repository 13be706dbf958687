"""SIGTERM and Ctrl-C let the step in hand end, and ask for a checkpoint; a second Ctrl-C ends at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Asked:
    """Which signal asked to stop, 0 for none."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        self.signal = number
        if number == signal.SIGINT:  # the next one is the interpreter's own
            signal.signal(signal.SIGINT, signal.default_int_handler)


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
