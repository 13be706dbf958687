"""A plan with all that makes batches of it on one rank."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.shards.plans import Plan
from train.checkpoint import weights_of
from train.config import DataSettings, TrainConfig
from train.data.collate import Collate, CollateSettings
from train.data.lengths import Lengths, Progress, awaited, measure
from train.data.loader import Loader, LoaderSettings
from train.data.rendering import Renderer
from train.signals import Asked, Stopped

if TYPE_CHECKING:
    from train.metrics import Watch
    from train.parallel.ranks import Ranks


SECONDS_BETWEEN_NOTES = 5.0


@dataclass(frozen=True)
class Data:
    """A plan with all that makes batches of it."""

    plan: Plan
    settings: LoaderSettings
    collate: Collate
    lengths: Lengths

    @classmethod
    def of(cls, config: TrainConfig, data: DataSettings, ranks: "Ranks", watch: "Watch", asked: Asked) -> "Data":
        """The plan opened, its samples measured. Stopped when asked to before that is done."""
        plan, renderer = Plan.open(data.plan), Renderer.load(weights_of(config.model).base, data.render)
        settings, lengths = data.load, measured(plan, renderer, data.load, ranks, watch, asked)
        for line in remarks(plan, lengths):
            watch.note(f"{data.plan}: {line}")
        fixed = config.compute.compile if data.pad_rows is None else data.pad_rows
        collate = _collate(renderer, config, data.max_tokens if fixed else None)
        return cls(plan, settings, collate, lengths)

    def loader(self, ranks: "Ranks", state: Mapping[str, Any] | None = None) -> Loader:
        """This rank's loader, from the beginning or from where a checkpoint stopped."""
        return Loader(self.plan, self.collate, self.settings, self.lengths, ranks.rank, ranks.world, state)


def _collate(renderer: Renderer, config: TrainConfig, length: int | None) -> Collate:
    if config.stage == "aim":
        from train.data.aiming import AimCollate

        return AimCollate(renderer, config.aim)
    return Collate(renderer, CollateSettings(pad_to=length, blank=True))


def remarks(plan: Plan, lengths: Lengths) -> Iterator[str]:
    """What a person should know of a plan before it is trained on."""
    usable = lengths.tokens > 0
    shortened = int(np.count_nonzero(usable & (lengths.shots < plan.samples.column("shots").to_numpy())))
    if shortened:
        yield f"{shortened:,} of {len(lengths):,} samples lose demonstrations to max_tokens or max_images"
    if not usable.all():
        yield f"{int(np.count_nonzero(~usable)):,} of {len(lengths):,} samples cannot be used: {dict(lengths.unusable)}"
    if not lengths.images[usable].any():
        yield "no sample has a picture"


def measured(
    plan: Plan, renderer: Renderer, settings: LoaderSettings, ranks: "Ranks", watch: "Watch", asked: Asked
) -> Lengths:
    """The lengths of a plan: rank 0 measures; the others wait by files, which may take longer than ranks are silent."""
    attempt = str(ranks.gather(os.urandom(4).hex())[0])
    if ranks.first:
        workers = max(1, settings.workers)
        return measure(plan, renderer, workers, told(watch, asked), settings.max_faults, attempt if ranks.world > 1 else "")
    lengths = awaited(plan, renderer, attempt, stop=lambda: bool(asked.signal))
    if lengths is None:
        raise Stopped
    return lengths


def told(watch: "Watch", asked: Asked) -> Progress:
    """Measuring's progress as a note now and then; it stops when it is asked to."""
    spoke = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal spoke
        if asked.signal:
            raise Stopped
        if time.monotonic() - spoke > SECONDS_BETWEEN_NOTES:
            spoke = time.monotonic()
            watch.note(f"measuring samples: {done:,} of {total:,}")

    return progress
