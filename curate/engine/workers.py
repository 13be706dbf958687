"""Tasks of a stage, one after another or in a pool of spawned processes."""

import pickle
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from curate.engine.manifests import RECEIPTS, Receipt, Stage
from curate.engine.parts import PartWriter
from curate.errors import MemoryLimitError
from curate.storage import Folder


@dataclass(frozen=True)
class Task:
    """One partition on its way to a worker."""

    out: Folder
    name: str
    key: str
    payload: Any


def _run_task(stage: Stage[Any], task: Task) -> tuple[Receipt, float]:
    began = time.perf_counter()
    part = PartWriter(task.out, task.name)
    task.out.remove(f"{RECEIPTS}/{task.name}.json")
    stage.process(task.payload, part)
    return part.close(task.key), time.perf_counter() - began


def work(stage: Stage[Any], todo: list[Task], workers: int) -> Iterator[tuple[Receipt, float]]:
    """Receipts and seconds of all tasks as they are done; MemoryLimitError when a worker process died."""
    if workers <= 1 or len(todo) <= 1:
        if todo:
            stage.setup()
        for task in todo:
            yield _run_task(stage, task)
        return
    yield from _work_in_pool(stage, todo, workers)


def _work_in_pool(stage: Stage[Any], todo: list[Task], workers: int) -> Iterator[tuple[Receipt, float]]:
    pool = ProcessPoolExecutor(
        min(workers, len(todo)), get_context("spawn"), initializer=_enter_worker, initargs=(pickle.dumps(stage),)
    )
    waiting: set[Future[tuple[Receipt, float]]] = set()
    try:
        for task in todo:
            with _interrupts_held():
                waiting.add(pool.submit(_run_in_worker, task))
            if len(waiting) >= 2 * workers:  # a bounded window keeps memory flat
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool:
        raise MemoryLimitError(
            "a worker process died, most likely for lack of memory; lower --workers and run again, finished parts are kept"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Workers started meanwhile inherit that Ctrl-C is not for them; the parent hears of it a moment later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_stage_here: Stage[Any] | None = None  # set once in each worker process, never in the parent


def _enter_worker(pickled: bytes) -> None:
    global _stage_here
    stage: Stage[Any] = pickle.loads(pickled)
    stage.setup()
    _stage_here = stage


def _run_in_worker(task: Task) -> tuple[Receipt, float]:
    assert _stage_here is not None
    return _run_task(_stage_here, task)
