"""What passes between the rooms' files: rendered episodes, their measures, faults and batches."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from curate.shards import Sample

if TYPE_CHECKING:
    import torch


class BadSample(Exception):
    """A sample that cannot be used; `reason` is a short stable word."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Rendered:
    """One episode as a sequence of T tokens, image tokens as many as the processor will make."""

    input_ids: npt.NDArray[np.int64]  # [T]
    weights: npt.NDArray[np.float32]  # [T] weight of the loss on predicting this token; 0 is masked
    answers: npt.NDArray[
        np.int16
    ]  # [T] which turn's answer a supervised token belongs to, counted in kept turns; -1 elsewhere
    images: tuple[int, ...]  # which of the sample's images remain, in the order of their tokens
    image_tokens: int
    kept: tuple[int, ...]  # which demonstrations remain, in order


class Measure(NamedTuple):
    """What an episode costs once rendered. All zero where it cannot be rendered at all."""

    tokens: int
    images: int
    image_tokens: int
    supervised: int  # tokens with a weight above zero
    shots: int  # demonstrations that remain


@dataclass(frozen=True, slots=True)
class Fault:
    """A sample that was skipped: where it lies and why."""

    sample: int  # its number in the plan
    key: str
    shard: str
    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.shard}: sample {self.key} skipped, {self.reason}" + (f" ({self.detail})" if self.detail else "")


GRACE = 1000
"""Samples that are counted at least before the share of damaged ones is judged."""


def too_many(faults: int, seen: int, share: float) -> bool:
    """Whether more than a share of the samples seen was damaged."""
    return faults > share * max(seen, GRACE)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sample of the plan as it was read."""

    number: int  # its number in the plan
    sample: Sample


Row = tuple["Loaded | Fault", ...]
"""What one row of a batch is made of: the episodes of a pack, or a single one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Where an episode lies in a batch."""

    row: int
    start: int
    stop: int
    sample: int  # its number in the plan


@dataclass(frozen=True)
class Batch:
    """A micro-batch of B rows of L positions."""

    inputs: dict[str, "torch.Tensor"]  # what the model's forward takes, attention mask left out
    labels: "torch.Tensor"  # [B, L] int64, -100 where nothing is supervised; unshifted, as transformers has it
    weights: "torch.Tensor"  # [B, L] float32, aligned with labels
    answers: "torch.Tensor"  # [B, L] int16, see Rendered
    segments: "torch.Tensor"  # [B, L] int32: 1, 2, ... for the episodes of a row, 0 for padding
    contents: tuple[Segment, ...] = ()
    faults: tuple[Fault, ...] = field(default=())

    def map(self, move: "Callable[[torch.Tensor], torch.Tensor]") -> "Batch":
        """The batch with every tensor passed through `move`, such as `lambda t: t.to(device)`."""
        inputs = {name: move(tensor) for name, tensor in self.inputs.items()}
        labels, weights, answers, segments = map(move, (self.labels, self.weights, self.answers, self.segments))
        return Batch(inputs, labels, weights, answers, segments, self.contents, self.faults)

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from where a GPU fetches it without waiting."""
        return self.map(lambda tensor: tensor.pin_memory())


class Assemble(Protocol):
    """Rows of samples into whatever the loader shall yield; runs in the loader's workers and must pickle."""

    def __call__(self, rows: "list[Row]") -> object:
        """One micro-batch. Faults of reading stand in the rows; faults found here are added to the result's."""
