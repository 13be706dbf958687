"""What the training loop holds: save now and then, restore once, wait at the end."""

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import __version__
from curate.errors import InputError, IntegrityError, ShotcraftError, StorageError
from curate.registry import nearest
from curate.storage import TEMPORARY, clear_errors
from train.checkpoint import layout, restoring
from train.checkpoint.layout import Manifest, fault_in, name_of, read_manifest, steps_in, whole_steps
from train.checkpoint.saving import Background, Facts, Staging, message_of, write
from train.checkpoint.state import MODEL, adapters_of, chunks_of, differing, frozen_shares, kept_tensors, put_away, summed
from train.config import CheckpointSettings

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from train.parallel.ranks import Ranks


def _aloud(message: str) -> None:
    sys.stderr.write(f"{message}\n")


PATIENCE = 60.0
"""Seconds that a run which ends by an error waits for its last save."""


class Checkpoints:
    """The checkpoints of one run. All ranks make one and call the same methods in the same order.

    A process that ends without wait() leaves a half checkpoint behind, which is ignored and then cleaned away.
    """

    def __init__(
        self, folder: Path, settings: CheckpointSettings, ranks: "Ranks", say: Callable[[str], None] = _aloud
    ) -> None:
        """`folder` is the run's OUT/checkpoints. What a killed run left half-written there is removed."""
        self._folder, self._settings, self._ranks = folder, settings, ranks
        self._say = say if ranks.first else lambda _: None
        self._background, self._staging = Background(), Staging()
        self._frozen: dict[str, tuple[str, str]] | None = None
        self._told = False
        if ranks.first:
            layout.clean(folder)
        self._mark = str(ranks.gather(os.urandom(4).hex())[0])  # no rank takes another attempt's files for this one's

    def latest(self) -> int | None:
        """Step of the newest whole checkpoint; None when there is none.

        One whose files are missing or cut short, as a power cut may leave them, is passed over with a loud line.
        IntegrityError when no whole one is left.
        """
        found: tuple[int | None, list[str]] = (None, [])
        if self._ranks.first:
            whole = whole_steps(self._folder)
            newest = whole[-1] if whole else None
            later = [step for step in steps_in(self._folder) if newest is None or step > newest]
            found = newest, [fault_in(self._folder / name_of(step)) for step in later]
        newest, faults = self._ranks.gather(found)[0]
        if faults and newest is None:
            raise IntegrityError(f"{faults[-1]}, and no whole checkpoint is left; remove {self._folder} to start anew")
        for fault in faults:
            self._say(f"WARNING: damaged checkpoint: {fault}; going on from step {newest}")
        return None if newest is None else int(newest)

    def restore(self, model: "nn.Module", optimizer: "Optimizer | None", step: int | None = None) -> dict[str, Any]:
        """Fills model and optimizer in place, whatever the number of ranks, and returns the progress saved with them.

        `step` None is the latest. IntegrityError when a file's content is not what was written, InputError when there
        is no such checkpoint or when it is of another model, or was trained over other frozen weights.
        """
        step = self.latest() if step is None else step
        if step is None:
            raise InputError(f"{self._folder} holds no checkpoint")
        checkpoint = self._folder / name_of(step)
        if not all(self._ranks.gather(checkpoint.is_dir())):
            raise InputError(f"{self._folder} holds no checkpoint of step {step}, or not every rank sees it")
        fault, manifest = self._checked(checkpoint)
        if fault or manifest is None:
            raise IntegrityError(f"{fault}; {self._older(step)}")
        put_away(model)
        with restoring.Reader(checkpoint, manifest) as reader:
            restoring.check_names(str(checkpoint), reader.names(MODEL), kept_tensors(model))
            self._same_frozen(checkpoint, manifest, model)
            restoring.restore(reader, model, optimizer)
        return manifest.progress

    def save(
        self,
        step: int,
        model: "nn.Module",
        optimizer: "Optimizer | None",
        progress: Mapping[str, Any],
        figures: Mapping[str, float],
    ) -> None:
        """Begins to write a checkpoint; with `background`, returns once the state is copied.

        The progress is JSON and rank 0's is kept. Waits for the save before, and raises its error on all ranks.
        """
        self.wait()
        put_away(model)
        rank, world = self._ranks.rank, self._ranks.world
        plain = json.loads(json.dumps(progress, allow_nan=False))  # a copy, and an error here rather than behind
        self._check_best(figures)
        finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        facts = Facts(__version__, step, world, plain, finite, adapters_of(model), self._frozen_of(model))
        chunks = chunks_of(model, optimizer, rank)
        if self._settings.background:
            chunks = self._staging.copy(chunks)
        half = self._folder / f"{TEMPORARY}{name_of(step)}-{self._mark}"
        job = partial(write, half, self._folder / name_of(step), rank, chunks, facts)
        self._background.run(partial(self._then_prune, job, step), self._settings.background)
        if not self._settings.background:
            self.wait()

    def wait(self) -> None:
        """Returns when the last save is in place for all ranks; raises its error on all of them."""
        error = self._background.join()
        messages = self._ranks.gather(message_of(error))
        if error is not None:
            raise error
        failed = [f"rank {rank}: {message}" for rank, message in enumerate(messages) if message]
        if failed:
            raise StorageError(f"a checkpoint could not be written, {failed[-1]}")

    def leave(self) -> None:
        """Lets a save that was begun come to its end, where a run ends by an error; no meeting, no error of its own."""
        self._background.join(PATIENCE)

    def _then_prune(self, job: Callable[[], None], step: int) -> None:
        job()
        if self._ranks.first:
            with clear_errors(str(self._folder)):
                layout.prune(self._folder, step, self._settings.keep, self._settings.best)

    def _check_best(self, figures: Mapping[str, float]) -> None:
        """Says once that no figure has the name that the best checkpoint is to be told by."""
        best = self._settings.best
        if best and best not in figures and not self._told:
            self._told = True
            self._say(f"checkpoint.best: no figure called {best!r} has been measured yet{nearest(best, figures)}")

    def _frozen_of(self, model: "nn.Module") -> dict[str, tuple[str, str]]:
        """Checksums of what is not trained; they never change, so they are made once."""
        if self._frozen is None:
            self._frozen = summed(self._ranks.gather(frozen_shares(model, self._ranks.rank)))
        return self._frozen

    def _checked(self, checkpoint: Path) -> tuple[str, Manifest | None]:
        """What is wrong with a checkpoint, as all ranks see it, each having read a share of the files."""
        rank, world = self._ranks.rank, self._ranks.world
        try:
            manifest = read_manifest(checkpoint)
            fault = fault_in(checkpoint) or restoring.check_digests(checkpoint, manifest, sorted(manifest.files)[rank::world])
        except ShotcraftError as error:
            manifest, fault = None, str(error)
        return next((found for found in self._ranks.gather(fault) if found), ""), manifest

    def _older(self, step: int) -> str:
        older = [whole for whole in whole_steps(self._folder) if whole < step]
        if not older:
            return "no older checkpoint is left; start the run anew"
        return f"remove {name_of(step)} and the run goes on from {name_of(older[-1])}"

    def _same_frozen(self, checkpoint: Path, manifest: Manifest, model: "nn.Module") -> None:
        other = differing(manifest.frozen, self._frozen_of(model))
        if other:
            raise InputError(
                f"{checkpoint} was trained over other weights than the model's now ({other});"
                " go on from the same model with the same compute.dtype"
            )
