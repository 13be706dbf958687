"""A plain model laid on the ranks, from outside: recomputing, compiling, then FSDP2 by block.

Every block is one group of parameters that is gathered when it is needed; embeddings, projector, norms and head
are the root's group. Gradients come out as sums over all ranks: the loss is divided by the tokens of the whole
step before, so nothing is to be averaged (see docs/decisions.md).
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from train.config import ComputeSettings, ParallelSettings
from train.parallel.ranks import Ranks

if TYPE_CHECKING:
    from train.model.parts import Parts


def distribute(
    model: nn.Module, parts: "Parts", compute: ComputeSettings, parallel: ParallelSettings, ranks: Ranks
) -> None:
    """Recomputing, compiling and sharding as the settings ask for, in place; the model is on the rank's device then.

    Call it when it is settled what is trained, and in which types. ConfigError where a trained parameter cannot be
    sharded.
    """
    raise NotImplementedError


def autocast(compute: ComputeSettings, ranks: Ranks) -> AbstractContextManager[object]:
    """What forward passes run in: bfloat16 by torch.autocast where nothing is sharded, nothing special otherwise."""
    if ranks.mesh is not None or compute.dtype == "float32":
        return nullcontext()
    return torch.autocast(ranks.device.type, torch.bfloat16)


def clip(parameters: Iterable[nn.Parameter], largest: float | None) -> Tensor:
    """The norm of the whole gradient over all ranks, as a float32 scalar; scales gradients down, in place, to `largest`."""
    raise NotImplementedError
