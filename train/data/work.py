"""What a loader's worker process does with a task: read, assemble, and tell what went wrong."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curate.errors import MemoryLimitError, ShotcraftError
from curate.shards.plans import Plan
from train.data.handover import Parcel, Slots
from train.data.processes import leave_signals_to_parent
from train.data.reading import SampleReader
from train.data.records import Assemble, Fault, Row
from train.data.steps import Episodes


@dataclass(frozen=True)
class Task:
    """One micro-batch to be made, and the slot that it may be handed over in; -1 for none."""

    rows: list[Episodes]
    slot: int = -1


@dataclass(frozen=True)
class Made:
    """What a worker made of one micro-batch."""

    content: Any  # a Parcel when it lies in the slot
    faults: tuple[Fault, ...] = ()
    error: ShotcraftError | None = None
    slot: int = -1


class Work:
    """What a worker does with a task: read, assemble, hand over."""

    def __init__(self, plan: Plan, assemble: Assemble, slots: Slots | None = None) -> None:
        self._plan, self._assemble, self._slots = plan, assemble, slots
        self._reader: SampleReader | None = None

    def __getitem__(self, task: Task) -> Made:
        try:
            rows = self._read(task.rows)
            content = self._assemble(rows)
        except ShotcraftError as error:  # crosses to the training process as itself, without a worker's traceback
            return Made(None, error=error, slot=task.slot)
        found = [episode for row in rows for episode in row if isinstance(episode, Fault)]
        faults = (*found, *getattr(content, "faults", ()))
        if self._slots is not None and task.slot >= 0:
            content = self._slots.pack(content, task.slot)
        return Made(content, faults, slot=task.slot)

    def _read(self, asked: list[Episodes]) -> list[Row]:
        if self._reader is None:  # opened where it is used: a forked process must not share connections
            self._reader = SampleReader(self._plan.reopened())
        read = iter(self._reader.read([number for row in asked for number in row]))
        return [tuple(itertools.islice(read, len(row))) for row in asked]


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


def opened(made: Made, slots: Slots | None) -> Any:
    """The content, out of its slot; raises what went wrong instead."""
    if made.error is not None:
        raise made.error
    if slots is not None and isinstance(made.content, Parcel):
        return slots.unpack(made.content)
    if slots is not None and made.slot >= 0:
        slots.give_back(made.slot)
    return made.content


def start_worker(_: int) -> None:
    """One thread a worker: there are as many workers as cores are to be used."""
    import torch

    leave_signals_to_parent()
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its thread pool does not survive a fork
