"""What AIM needs of a vision-language model: words as embeddings, pictures as features, the decoder, the head.

Models of transformers have all of it under the same names (Llava and its successors, Qwen2-VL, Idefics3 and others). One that
has not gets a subclass here and a line with its model_type; see docs/how-to/aim.md.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from curate.errors import ConfigError
from curate.registry import Registry
from train.model.aim.states import depth_of, states_of
from train.model.features import picture_features

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Backbone:
    """A model by its parts. Nothing of it is changed."""

    def __init__(self, model: "PreTrainedModel") -> None:
        self.model = model
        self.depth = depth_of(self.decoder)
        self.width = int(self.table.weight.shape[1])

    @property
    def decoder(self) -> nn.Module:
        """The stack of layers, without the head."""
        return self.model.get_decoder()

    @property
    def table(self) -> nn.Embedding:
        """Word embeddings [vocabulary, D]."""
        return self.model.get_input_embeddings()

    @property
    def image_token(self) -> int:
        """The word in whose place features go."""
        config = self.model.config
        found = getattr(config, "image_token_id", getattr(config, "image_token_index", None))
        if found is None:
            raise ConfigError(f"{type(self.model).__name__} names no image token in its config")
        return int(found)

    def size(self) -> float:
        """Root mean square of the word embeddings."""
        return float(self.table.weight.float().square().mean().sqrt())

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """[slots, D] of all pictures, in the order of their tokens; `inputs` as the processor makes them."""
        found: Tensor = picture_features(self.model, inputs)
        return found

    def embedded(self, ids: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """[B, L, D] embeddings of ids [B, L], features in the pictures' places."""
        there = ids == self.image_token
        made: Tensor = self.table(ids.masked_fill(there, 0))
        if there.any():
            made = made.masked_scatter(there[..., None], self.features(inputs).to(made))
        return made

    def states(self, layers: tuple[int, ...], **inputs: Any) -> Tensor:
        """[B, L, len(layers), D] without gradients."""
        return states_of(self.decoder, layers, **inputs)

    def logits(self, keep: Tensor, **inputs: Any) -> Tensor:
        """[B, len(keep), V] behind positions `keep`."""
        made: Tensor = self.model(**inputs, logits_to_keep=keep, use_cache=False).logits
        return made


BACKBONES: Registry[type[Backbone]] = Registry("backbone of AIM")
"""Subclasses by model_type, for models whose parts are called otherwise."""


def backbone_of(model: "PreTrainedModel") -> Backbone:
    """The model's parts, by its own adapter where it has one."""
    kind = str(model.config.model_type)
    return (BACKBONES.get(kind) if kind in BACKBONES else Backbone)(model)
