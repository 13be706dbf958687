"""A batch of queries and their demonstrations as the embeddings that the model is given: the second of AIM's two passes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from train.model.aim.backbone import Backbone, backbone_of
from train.model.aim.projection import Projection, pooled
from train.model.isolation import isolating_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OWN = "aim."
"""Inputs of a batch under these names are AIM's; train/data/aiming.py makes them."""


def projection_of(model: "PreTrainedModel") -> Projection | None:
    """The projection that was put on a model."""
    return cast("Projection | None", getattr(model, "aim", None))


def aggregated(model: "PreTrainedModel", backbone: Backbone, inputs: Mapping[str, Tensor], layers: tuple[int, ...]) -> Tensor:
    """[n, layers, D] states on the kept words of all demonstrations, row by row; without gradients.

    `inputs`: input_ids [R, M], position_ids, segments [R, M] (1, 2, ... for the demonstrations of a row), kinds [R, M] (0 for
    words that are not kept), and the pictures as the processor gives them.
    """
    with torch.no_grad():
        embeds = backbone.embedded(inputs["input_ids"], inputs)
        mask: Any = isolating_mask(model, inputs["segments"])
        states = backbone.states(layers, inputs_embeds=embeds, attention_mask=mask, position_ids=inputs["position_ids"])
        return states[inputs["kinds"] > 0]


def virtual_tokens(
    backbone: Backbone, projection: Projection, states: Tensor, words: Tensor, kinds: Tensor, groups: Tensor
) -> Tensor:
    """[g, D] of states [n, layers, D] on kept words [n] of some kinds [n]: projected, neighbours of a group pooled, and some
    words as they are."""
    made = projection(states)
    for kind in projection.settings.words:
        made = torch.where((kinds == kind)[:, None], backbone.table(words).to(made), made)
    return pooled(made, groups)


def fused_inputs(model: "PreTrainedModel", inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """inputs_embeds and position_ids of a batch: virtual tokens in their slots, features in the pictures' places."""
    backbone, projection = backbone_of(model), projection_of(model)
    assert projection is not None, "only a model with a projection is given demonstrations apart"
    own = {name.removeprefix(OWN): tensor for name, tensor in inputs.items() if name.startswith(OWN)}
    embeds = backbone.embedded(inputs["input_ids"], inputs)
    layers = projection.settings.resolved(backbone.depth)
    if "kinds" not in own:  # every rank goes through the projection at every step, whatever its samples are
        nothing = projection(embeds.new_zeros(1, len(layers), backbone.width))
        embeds = embeds + 0 * nothing.sum().to(embeds)
    else:
        kept = own["kinds"] > 0
        states = aggregated(model, backbone, own, layers)
        virtual = virtual_tokens(backbone, projection, states, own["input_ids"][kept], own["kinds"][kept], own["groups"])
        embeds = embeds.masked_scatter(own["slots"][..., None], virtual.to(embeds))
    return {"inputs_embeds": embeds, "position_ids": inputs["position_ids"]}
