"""Worker processes hear their parent, not their group."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import pytest

from train.data.processes import held_back, leave_signals_to_parent


def work(end: Connection) -> None:
    time.sleep(0.2)  # what comes before it listens is held back
    leave_signals_to_parent()
    end.send("ready")
    end.recv()
    end.send("done")


def send_from_another(pid: int, number: int) -> None:
    other = os.fork()
    if not other:
        os.kill(pid, number)
        os._exit(0)
    os.waitpid(other, 0)


def start(method: str) -> tuple[Any, Connection]:
    context: Any = multiprocessing.get_context(method)
    mine, its = context.Pipe()
    if method == "spawn":
        resource_tracker.ensure_running()
    with held_back():
        worker = context.Process(target=work, args=(its,))
        worker.start()
    return worker, mine


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("early", [True, False])
def test_signals_of_others_do_nothing(method: str, early: bool) -> None:
    worker, end = start(method)
    if not early:
        assert end.recv() == "ready"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        send_from_another(worker.pid, number)
    if early:
        assert end.recv() == "ready"
    time.sleep(0.1)
    end.send("end")
    assert end.recv() == "done"
    worker.join(10)
    assert worker.exitcode == 0


def test_the_parents_word_ends_it() -> None:
    worker, end = start("fork")
    assert end.recv() == "ready"
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


def test_signals_that_were_held_back_come_afterwards() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with held_back():
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # other threads, as OpenMP's, do not hold it back
            time.sleep(0.05)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_a_worker_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    leave_signals_to_parent()
    assert before == (
        signal.getsignal(signal.SIGTERM),
        signal.getsignal(signal.SIGINT),
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    )
