"""Model flops of a micro-batch: what the mathematics of a step asks for, whatever the machine does besides."""

from typing import TYPE_CHECKING

import torch

from train.data.records import Batch

if TYPE_CHECKING:
    from train.model.parts import Parts


class Flops:
    """Counts the model flops of micro-batches from their shapes and segments; holds no weights."""

    @classmethod
    def of(cls, model: torch.nn.Module, parts: "Parts") -> "Flops":
        """For a prepared model (frozen, adapters in), before it is distributed or compiled; on meta as well."""
        raise NotImplementedError

    def __call__(self, batch: Batch) -> torch.Tensor:
        """[] float64 on the batch's device: flops of forward and backward. Waits for no GPU."""
        raise NotImplementedError
