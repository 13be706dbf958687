"""What the frozen model itself would answer with whole demonstrations before it: a teacher for the projection.

    loss = (1 - d) CE(student, answer) + d KL(teacher || student),   d = aim.distill

token by token of the answer (Hinton et al., arXiv 1503.02531, at temperature 1). For models that can read several pictures.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from train.data.collate import IGNORED
from train.model.aim.forward import OWN
from train.model.isolation import isolating_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEACHER = f"{OWN}teacher."
"""Inputs of a batch under these names are the teacher's; train/data/aiming.py makes them."""


@torch.no_grad()  # type: ignore[untyped-decorator]
def teacher_logits(model: "PreTrainedModel", inputs: Mapping[str, Tensor]) -> Tensor | None:
    """[N, V] float32 for the supervised tokens of a batch, in their order; None for a batch without a teacher."""
    own = {name.removeprefix(TEACHER): tensor for name, tensor in inputs.items() if name.startswith(TEACHER)}
    if not own:
        return None
    segments, labels = own.pop("segments"), own.pop("labels")
    rows, columns = torch.nonzero(labels != IGNORED, as_tuple=True)
    keep, slots = torch.unique(columns - 1, return_inverse=True)
    mask = isolating_mask(model, segments)
    logits: Tensor = model(**own, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
    return logits[rows, slots].float()


def taught(losses: Tensor, student: Tensor, teacher: Tensor, share: float) -> Tensor:
    """[N] cross-entropies [N] mixed with the divergence of the student's logits [N, V] from the teacher's."""
    apart = kl_div(log_softmax(student, -1), log_softmax(teacher, -1), reduction="none", log_target=True).sum(-1)
    return (1 - share) * losses + share * apart
