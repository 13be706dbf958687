"""What a loader's worker process does with a task: read, assemble, and tell what went wrong."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curate.errors import MemoryLimitError, ShotcraftError
from curate.shards.plans import Plan
from train.data.reading import SampleReader
from train.data.records import Assemble, Fault, Row
from train.data.steps import Episodes


@dataclass(frozen=True)
class Made:
    """What a worker made of one micro-batch."""

    content: Any
    faults: tuple[Fault, ...] = ()
    error: ShotcraftError | None = None


class Work:
    """What a worker does with a task: read, then assemble."""

    def __init__(self, plan: Plan, assemble: Assemble) -> None:
        self._plan, self._assemble = plan, assemble
        self._reader: SampleReader | None = None

    def __getitem__(self, task: list[Episodes]) -> Made:
        try:
            rows = self._read(task)
            content = self._assemble(rows)
        except ShotcraftError as error:  # crosses to the training process as itself, without a worker's traceback
            return Made(None, error=error)
        found = [episode for row in rows for episode in row if isinstance(episode, Fault)]
        return Made(content, (*found, *getattr(content, "faults", ())))

    def _read(self, task: list[Episodes]) -> list[Row]:
        if self._reader is None:  # opened where it is used: a forked process must not share connections
            self._reader = SampleReader(self._plan.reopened())
        read = iter(self._reader.read([number for row in task for number in row]))
        return [tuple(itertools.islice(read, len(row))) for row in task]


def alive(running: Iterator[Made]) -> Iterator[Made]:
    """What workers made, or a clear error when one of them was killed."""
    try:
        yield from running
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise MemoryLimitError(
            "a loader process was killed, most often for want of memory; lower workers, prefetch or micro_batch, and run again"
        ) from error


def opened(made: Made) -> Made:
    """What was made; raises what went wrong instead."""
    if made.error is not None:
        raise made.error
    return made


def start_worker(_: int) -> None:
    """One thread a worker: there are as many workers as cores are to be used."""
    import torch

    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool does not survive a fork
