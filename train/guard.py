"""Steps that must not be taken: losses or gradients that are not finite, and batches that do not fit into memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import MemoryLimitError
from train.data.records import Batch

if TYPE_CHECKING:
    from curate.shards.plans import Plan


class Guard:
    """Counts and keeps bad steps.

    finite = not ranks.any(not isfinite(loss) or not isfinite(norm))
    if guard.judge(step, finite, batches, {"loss": ..., "grad_norm": ...}):
        optimizer.step()
    """

    def __init__(
        self, out: Path, limit: int, plan: "Plan | None" = None, facts: Mapping[str, Any] | None = None, rank: int = 0
    ) -> None:
        """Dumps go to OUT/bad; `limit` is max_bad_steps. `facts` stand in every dump: config digest, seed, world."""
        raise NotImplementedError

    @property
    def skipped(self) -> int:
        """Bad steps of the whole run."""
        raise NotImplementedError

    def judge(self, step: int, finite: bool, batches: Sequence[Batch], facts: Mapping[str, Any] | None = None) -> bool:
        """Whether the step may be taken. `finite` must be what all ranks agreed on, so that all skip alike.

        A bad step's batches are written to OUT/bad/step-00000012/rank-0.{safetensors,json}. QualityError, on all ranks
        alike, after `limit` bad steps in a row.
        """
        raise NotImplementedError

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        raise NotImplementedError

    def restore(self, state: Mapping[str, int]) -> None:
        """Goes on counting."""


@dataclass(frozen=True)
class Dump:
    """A bad step of one rank, read back."""

    batches: list[Batch]
    facts: dict[str, Any]


def load_dump(folder: Path, rank: int = 0) -> Dump:
    """The micro-batches of a bad step, as they went into the model."""
    raise NotImplementedError


def out_of_memory(error: BaseException, batch: Batch | None = None) -> MemoryLimitError | None:
    """The error as a message that says which batch it was and what to lower; None when it is another kind of error."""
    raise NotImplementedError
