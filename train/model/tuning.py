"""Who learns: parts frozen, trained whole or through adapters; in which numbers; at which learning rates."""

from typing import TYPE_CHECKING, TypedDict

from train.model.parts import Parts

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from train.config import TrainConfig


class Group(TypedDict):
    """A parameter group of AdamW."""

    params: "list[nn.Parameter]"
    names: list[str]
    lr: float
    weight_decay: float
    part: str


def prepare(model: "PreTrainedModel", parts: Parts, config: "TrainConfig") -> "PreTrainedModel":
    """The model itself, made ready in place: frozen where config.rules say so, with adapters on the linear layers of
    parts under LoRA (NAME.weight becomes NAME.base_layer.weight beside NAME.lora_A.default.weight and .lora_B.), what is
    trained in float32 and the rest in compute.dtype. Frozen modules and batch norms stay in evaluation mode whatever
    model.train() is told. Works on the meta device. ConfigError for a rule that matches nothing.
    """
    raise NotImplementedError


def groups(model: "PreTrainedModel", parts: Parts, config: "TrainConfig") -> list[Group]:
    """AdamW's groups of the trained parameters of a prepared model, by part, learning rate and decay, in the model's order.
    Vectors have no decay; weights that are tied stand once, under their first name. Call it before or after sharding.
    """
    raise NotImplementedError


def merge_adapters(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model itself with adapters added into their weights and taken off: names and classes as before `prepare`."""
    raise NotImplementedError
