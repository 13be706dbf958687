"""What a run would be, without reading a weight: parameters, memory by rank, steps and tokens."""

from dataclasses import dataclass
from typing import Any

from train.config import TrainConfig


@dataclass(frozen=True)
class DryRun:
    """What a run would be."""

    parts: dict[str, dict[str, int]]  # part -> {"parameters", "trained"}
    memory: dict[str, float]  # bytes by rank: weights, gradients, optimizer, activations, all
    data: dict[str, Any]  # samples, steps, micro_batches, tokens by epoch, and what they were counted by

    def as_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        raise NotImplementedError

    def table(self) -> list[tuple[str, str]]:
        """Lines for people: (what, how much)."""
        raise NotImplementedError


def dry_run(config: TrainConfig, world: int = 1) -> DryRun:
    """Builds everything on the meta device; a wrong setting raises what the run itself would raise."""
    raise NotImplementedError
