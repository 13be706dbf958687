"""What a model's tower and projector make of pictures, for any class of transformers."""

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()  # type: ignore[untyped-decorator]
def picture_features(model: "PreTrainedModel", inputs: Mapping[str, Tensor]) -> Tensor:
    """[slots, D] of all pictures, in the order of their tokens; `inputs` as the image processor makes them, what the class
    does not take being left out. A class that has no such function, or another, raises anything."""
    look: Any = model.get_image_features
    taken = set(signature(look).parameters)
    given = {name: tensor.to(model.device) for name, tensor in inputs.items() if name in taken}
    pooled = look(**given, return_dict=True).pooler_output
    return torch.cat([one.flatten(0, -2) for one in pooled])
