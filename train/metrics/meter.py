"""How quickly a run goes, exact over ranks: sums over the steps since the last line of the log."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from train.data.records import Batch
from train.metrics.flops import Flops

if TYPE_CHECKING:
    from train.parallel.ranks import Ranks


class Meter:
    """Counts what passes on this rank; `figures` sums it over ranks and begins a new stretch.

    meter = Meter(ranks, flops, peak_flops(ranks.device, "bfloat16"), steps=total)
    with meter.waiting():            # or meter.waited(seconds)
        batches = next(loader)
    for batch in batches:
        meter.micro_batch(batch)     # best before it moves to the GPU; nothing is waited for either way
    meter.step()
    row |= meter.figures(done)       # every rank, at the steps that are logged
    """

    def __init__(self, ranks: "Ranks", flops: Flops | None, peak: float | None, steps: int) -> None:
        raise NotImplementedError

    def waited(self, seconds: float) -> None:
        """Time that went into waiting for data."""

    def paused(self, seconds: float) -> None:
        """Time that no step took: validation, a checkpoint that had to be waited for."""

    def micro_batch(self, batch: Batch) -> None:
        """Counts a micro-batch that was or will be trained on."""

    def step(self) -> None:
        """Ends a step."""

    def figures(self, done: int) -> dict[str, Any]:
        """What the stretch was like, once `done` steps of the run are done; every rank must ask.

        step_s, tokens_per_s {all, real, supervised}, images_per_s, data_wait (share of the time), memory_gb {now, peak}
        (of the rank that has most), mfu (share; absent when flops or peak are unknown), eta_s.
        """
        raise NotImplementedError


def learning_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The learning rate of each part, by the `part` of the optimiser's groups."""
    raise NotImplementedError


def flat(figures: Mapping[str, Any], under: str = "") -> dict[str, float]:
    """Nested figures by dotted names, as `checkpoint.best` names them: {"tokens_per_s": {"all": 1}} -> tokens_per_s.all."""
    raise NotImplementedError
