"""The loss of a micro-batch: cross-entropy of its supervised tokens, divided by the supervised weight of the whole step.

    loss = sum over tokens t of w_t * CE_t  /  sum over all ranks and micro-batches of the step of w_t

so that a step's gradient is the same however its rows are spread over ranks, micro-batches and packed rows.
Logits are computed where something is supervised only: with 49,000 words and one answer word among fifty
tokens, they would otherwise cost more than some layers do.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from train.data.collate import IGNORED
from train.data.records import Batch
from train.model.aim.forward import fused_inputs, projection_of
from train.model.aim.teaching import taught, teacher_logits
from train.model.isolation import isolating_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Targets:
    """The N supervised tokens of a micro-batch, row by row."""

    rows: torch.Tensor  # [N] int64, row of the batch
    slots: torch.Tensor  # [N] int64, which of `keep` predicts the token
    keep: torch.Tensor  # [U] int64, positions whose logits are needed in any row
    labels: torch.Tensor  # [N] int64
    weights: torch.Tensor  # [N] float32
    samples: torch.Tensor  # [N] int64, the plan's number of the episode
    turns: torch.Tensor  # [N] int64, which answer of the episode: 0 for the first demonstration's

    @classmethod
    def of(cls, batch: Batch) -> "Targets":
        """Found on the CPU, before the batch moves: a GPU would have to be waited for."""
        rows, columns = torch.nonzero(batch.labels != IGNORED, as_tuple=True)
        keep, slots = torch.unique(columns - 1, return_inverse=True)
        if not len(keep):  # a model gives all logits when asked for none
            keep = torch.zeros(1, dtype=torch.int64)
        found = (batch.labels, batch.weights, _samples(batch), batch.answers.long())
        labels, weights, samples, turns = (plane[rows, columns] for plane in found)
        return cls(rows, slots, keep, labels, weights, samples, turns)

    def to(self, device: torch.device) -> "Targets":
        """The same on a device."""
        return replace(self, **{name: tensor.to(device, non_blocking=True) for name, tensor in vars(self).items()})

    def __len__(self) -> int:
        return len(self.labels)


def _samples(batch: Batch) -> torch.Tensor:
    """[B, L] the plan's number of the episode at each position, -1 for padding."""
    plane = torch.full(batch.labels.shape, -1, dtype=torch.int64)
    for segment in batch.contents:
        plane[segment.row, segment.start : segment.stop] = segment.sample
    return plane


def token_losses(
    model: "PreTrainedModel",
    batch: Batch,
    targets: Targets,
    packed: bool = True,
    cast: AbstractContextManager[object] | None = None,
) -> torch.Tensor:
    """[N] float32 cross-entropy of each supervised token; with a teacher for AIM, mixed with its divergence. `packed` rows
    hold several episodes, which must not see one another. `cast` is the context in which the model computes."""
    mask = isolating_mask(model, batch.segments) if packed else (batch.segments > 0).long()
    options: dict[str, Any] = {"attention_mask": mask, "use_cache": False, "logits_to_keep": targets.keep}
    projection = projection_of(model)
    with cast or nullcontext():
        inputs = batch.inputs if projection is None else fused_inputs(model, batch.inputs)
        logits = model(**inputs, **options).logits  # [B, U, V]
        teacher = None if projection is None else teacher_logits(model, batch.inputs)
    picked = logits[targets.rows, targets.slots].float()  # [N, V]
    losses = functional.cross_entropy(picked, targets.labels, reduction="none")
    return losses if projection is None or teacher is None else taught(losses, picked, teacher, projection.settings.distill)
