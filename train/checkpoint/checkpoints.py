"""What the training loop holds: save now and then, restore once, wait at the end."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.config import CheckpointSettings

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from train.parallel.ranks import Ranks


def _aloud(message: str) -> None:
    sys.stderr.write(f"{message}\n")


class Checkpoints:
    """The checkpoints of one run. All ranks make one and call the same methods in the same order."""

    def __init__(
        self, folder: Path, settings: CheckpointSettings, ranks: "Ranks", say: Callable[[str], None] = _aloud
    ) -> None:
        """`folder` is the run's OUT/checkpoints. What a killed run left half-written there is removed."""
        raise NotImplementedError

    def latest(self) -> int | None:
        """Step of the newest whole checkpoint; None when there is none."""
        raise NotImplementedError

    def restore(self, model: "nn.Module", optimizer: "Optimizer | None", step: int | None = None) -> dict[str, Any]:
        """Fills model and optimizer in place, whatever the number of ranks, and returns the progress saved with them."""
        raise NotImplementedError

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
        raise NotImplementedError

    def wait(self) -> None:
        """Returns when the last save is in place for all ranks; raises its error on all of them."""
        raise NotImplementedError
