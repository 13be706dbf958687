"""The loader: steps of micro-batches for one rank, made in worker processes, stopped and resumed exactly.

    with Loader(plan, assemble, settings, lengths=lengths, rank=rank, world=world, state=saved) as loader:
        for batches in loader:            # the micro-batches of one step on this rank
            train_on(batches)
            saved = loader.state()        # a few hundred bytes: go on behind this step, at any world size

What a step holds follows from plan, lengths, settings and its number alone (train/data/steps.py). Workers
read, decode and assemble; they never decide anything.
"""

import itertools
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from curate.errors import ConfigError, InputError, QualityError
from curate.settings import Settings
from curate.shards.plans import Plan
from curate.storage import hash_json
from train.data.handover import Slots
from train.data.lengths import Lengths
from train.data.processes import held_back
from train.data.reading import check_shards
from train.data.records import Assemble, Fault, too_many
from train.data.state import LoaderState
from train.data.steps import Cursor, RowLimits, Rows, Step, chunks, dealt, steps
from train.data.work import Task, Work, alive, opened, start_worker

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

log = logging.getLogger("shotcraft.loader")

STEPS_HELD = 2
"""Steps whose batches the caller may hold on to before new ones go the slower way: that in hand, and the next as it comes."""

_told: set[tuple[str, str]] = set()
"""Plans, and what was said of their shards in this process: a run makes many loaders."""


class LoaderSettings(Settings):
    """How a plan becomes batches."""

    seed: int = 0
    """Shuffles inside the plan's blocks; another seed, another order of the same samples."""

    batch: int = Field(default=8, gt=0)
    """Rows of one step over all ranks: the global batch."""

    micro_batch: int = Field(default=1, gt=0)
    """Rows that one rank computes at a time."""

    epochs: int | None = Field(default=1, gt=0)
    """How often the plan is gone through; null for no end."""

    packing: bool = True
    """Lay several episodes into one row of `max_tokens`; needs lengths. Otherwise every episode has its own row."""

    max_tokens: int = Field(default=4096, gt=0)
    """Positions of a packed row."""

    max_images: int | None = Field(default=None, gt=0)
    """Pictures of a packed row at most."""

    window: int = Field(default=1024, gt=0)
    """Episodes among which rows are packed; a curriculum is kept from window to window."""

    workers: int = Field(default=2, ge=0)
    """Processes that read and decode; 0 does it in the training process."""

    prefetch: int = Field(default=4, gt=0)
    """Micro-batches that every worker prepares ahead."""

    max_faults: float = Field(default=0.01, ge=0, le=1)
    """The run stops when a larger share of the samples was damaged (of at least 1,000)."""

    @property
    def order(self) -> dict[str, Any]:
        """The settings that decide which samples a step holds."""
        return self.model_dump(include={"seed", "batch", "packing", "max_tokens", "max_images", "window"})


class Loader:
    """Yields, step by step, the list of this rank's micro-batches, each made by `assemble` from its rows.

    The number of micro-batches of a step is the same on every rank. Iterating again goes on behind the last
    step that was yielded. Use it as a context manager, or call `close`, so that workers end at once.
    """

    def __init__(
        self,
        plan: Plan,
        assemble: Assemble,
        settings: LoaderSettings | None = None,
        lengths: Lengths | None = None,
        rank: int = 0,
        world: int = 1,
        state: "LoaderState | Mapping[str, Any] | None" = None,
    ) -> None:
        self.settings = settings or LoaderSettings()
        assert 0 <= rank < world, f"rank {rank} of {world}"
        self._plan, self._assemble, self._rank, self._world = plan, assemble, rank, world
        self._rows = rows_of(plan, self.settings, lengths)
        order = hash_json(self.settings.order)
        self._fresh = LoaderState(plan.digest[:16], lengths.digest[:16] if lengths else "", order[:16])
        self._state = self._restored(state) if state is not None else self._fresh
        self._running: Iterator[Any] | None = None
        for line in check_shards(plan):
            if (plan.digest, line) not in _told:
                _told.add((plan.digest, line))
                log.warning("%s; its unreadable samples will be skipped", line)

    def _restored(self, state: "LoaderState | Mapping[str, Any]") -> LoaderState:
        state = state if isinstance(state, LoaderState) else LoaderState.of(state)
        told = {"plan": "the plan", "lengths": "rendering or its lengths", "order": "seed, batch, packing or window"}
        other = [what for name, what in told.items() if getattr(state, name) != getattr(self._fresh, name)]
        if other:
            changed = " and ".join(other)
            raise ConfigError(
                f"cannot go on where the checkpoint stopped: {changed} changed since; put it back, or start anew"
            )
        return state if self._rank == 0 else replace(state, seen=0, faults=0)  # what was counted is counted once

    @property
    def rows(self) -> Rows:
        """What every window holds."""
        return self._rows

    def state(self) -> LoaderState:
        """Where the step behind the last yielded one begins."""
        return self._state

    def count_steps(self) -> int:
        """Steps of all epochs, by packing every window once, without reading a sample; needs `epochs`."""
        assert self.settings.epochs is not None, "a run without an end has no number of steps"
        windows = ((e, w) for e in range(self.settings.epochs) for w in range(self._rows.windows))
        return -(-sum(len(self._rows.of(epoch, window)) for epoch, window in windows) // self.settings.batch)

    def __iter__(self) -> Iterator[list[Any]]:
        self.close()
        slots = Slots(self._count_slots()) if self.settings.workers else None
        ahead: deque[tuple[Step, list[Task]]] = deque()
        with held_back():
            self._running = iter(self._loader(self._tasks(ahead, slots), slots))
        made = alive(self._running)
        try:
            for first in made:
                step, tasks = ahead.popleft()
                batches = [first, *itertools.islice(made, len(tasks) - 1)]
                contents = [opened(batch, slots) for batch in batches]
                faults = [fault for batch in batches for fault in batch.faults]
                self._advance(step, faults, samples=sum(len(row) for task in tasks for row in task.rows))
                yield contents
        finally:
            self.close()

    def _count_slots(self) -> int:
        """Micro-batches of this rank that are under way or held at a time."""
        rows = -(-self.settings.batch // self._world)
        return self.settings.workers * self.settings.prefetch + STEPS_HELD * -(-rows // self.settings.micro_batch)

    def _tasks(self, ahead: "deque[tuple[Step, list[Task]]]", slots: Slots | None) -> Iterator[Task]:
        """This rank's micro-batches one after another; `ahead` hears which step they belong to."""
        at = self._state
        start = Cursor(at.epoch, at.window, at.row)
        for step in steps(self._rows, self.settings.batch, start, at.step, self.settings.epochs):
            weights = [self._rows.images_of(row) for row in step.rows]
            mine = chunks(dealt(step.rows, self._world, weights)[self._rank], self.settings.micro_batch)
            tasks = [Task(rows) for rows in mine]
            ahead.append((step, tasks))
            for task in tasks:
                yield replace(task, slot=slots.take()) if slots else task

    def _loader(self, tasks: Iterable[Task], slots: Slots | None) -> "DataLoader[Any]":
        from torch.utils.data import DataLoader

        workers = self.settings.workers
        more: dict[str, Any] = {}
        if workers:
            more = {
                "prefetch_factor": self.settings.prefetch,
                "multiprocessing_context": "fork",
                "worker_init_fn": start_worker,
            }
        work: Any = Work(self._plan, self._assemble, slots)
        return DataLoader(work, batch_size=None, sampler=tasks, num_workers=workers, **more)

    def _advance(self, step: Step, faults: Sequence[Fault], samples: int) -> None:
        for fault in faults:
            log.warning("%s", fault)
        at, old = step.after, self._state
        seen, damaged = old.seen + samples, old.faults + len(faults)
        self._state = replace(
            old, step=step.number + 1, epoch=at.epoch, window=at.window, row=at.row, seen=seen, faults=damaged
        )
        self._judge()

    def _judge(self) -> None:
        seen, faults = self._state.seen, self._state.faults
        if too_many(faults, seen, self.settings.max_faults):
            raise QualityError(
                f"{faults:,} of {seen:,} samples were damaged, more than max_faults {self.settings.max_faults:g} allows;"
                " check the shards (curate shards verify), or raise it"
            )

    def close(self) -> None:
        """Ends the workers; iterating again starts new ones."""
        running, self._running = self._running, None
        shut = getattr(running, "_shutdown_workers", None)
        if shut is not None:
            shut()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def rows_of(plan: Plan, settings: LoaderSettings, lengths: Lengths | None) -> Rows:
    """The rows that a loader with these settings serves; ConfigError or InputError when there can be none."""
    if settings.packing and lengths is None:
        raise ConfigError("packing needs token lengths: measure them (train.data.lengths.measure), or set packing: false")
    limits = RowLimits(settings.max_tokens, settings.max_images) if settings.packing else None
    if lengths is not None:
        _check_usable(lengths, limits)
    return Rows(plan, settings.seed, settings.window, lengths, limits)


def _check_usable(lengths: Lengths, limits: RowLimits | None) -> None:
    """InputError when no episode can be used, ConfigError when one was rendered longer than a row is."""
    tokens, images = (int(counts.max(initial=0)) for counts in (lengths.tokens, lengths.images))
    if not tokens:
        raise InputError(f"none of the plan's {len(lengths):,} samples can be used: {lengths.unusable}; measure them again")
    if limits is not None and tokens > limits.max_tokens:
        raise ConfigError(f"an episode has {tokens} tokens, a row {limits.max_tokens}: set both max_tokens alike")
    if limits is not None and limits.max_images is not None and images > limits.max_images:
        raise ConfigError(f"an episode has {images} pictures, a row {limits.max_images}: set both max_images alike")
