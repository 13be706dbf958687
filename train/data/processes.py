"""Worker processes leave signals to the process that started them, and end with it.

Ctrl-C and what schedulers send (systemd, `kill -- -PGID`) reach every process of a group. The trainer finishes its step
and saves, for which it needs its workers: they must not die of the same signal. torch's DataLoader gives its workers a
handler for SIGTERM that ends them, and asks a worker that hangs to end by SIGTERM too, so ignoring it would leave
those behind. Hence SIGTERM is blocked in every thread and a thread of its own takes it: it counts when the parent sent it.

    with held_back():           # from their first moment on
        start_processes()       # in each of which leave_signals_to_parent() is called
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGTERM, signal.SIGINT)

LOOK_EVERY = 1.0
"""Seconds between two looks whether the parent is still there."""


@contextmanager
def held_back() -> Iterator[None]:
    """Processes that the block starts begin with signals to stop held back, as this thread has them meanwhile.

    Before spawning, call `multiprocessing.resource_tracker.ensure_running()`: to start it lets them through.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent() -> None:
    """In a worker process: signals to its group do nothing; it ends when its parent says so, or is gone, killed too."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return  # not a worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING if sys.platform == "darwin" else (signal.SIGINT,))
    if sys.platform != "darwin":  # which cannot say who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        threading.Thread(target=_listen, args=(parent.pid,), name="signals", daemon=True).start()


def _listen(parent: int) -> None:
    if sys.platform == "darwin":
        return
    while True:
        heard = signal.sigtimedwait((signal.SIGTERM,), LOOK_EVERY)
        if os.getppid() != parent or (heard is not None and heard.si_pid == parent):
            os._exit(0)
