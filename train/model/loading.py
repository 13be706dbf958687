"""A model from a folder, a hub name, or what one of our runs or exports left."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.config import ComputeSettings


def load_model(place: str, compute: "ComputeSettings", remote_code: bool = False) -> "PreTrainedModel":
    """The model in float32 on the CPU, in evaluation mode, its language model with the attention that `compute` asks for.

    `place` is a folder or a hub name of a transformers model, a run's folder (its newest checkpoint, adapters merged) or an
    export's. InputError where there is none, ConfigError where its attention cannot be had.
    """
    raise NotImplementedError


def empty_model(place: str, remote_code: bool = False) -> "PreTrainedModel":
    """The same architecture on the meta device: no weights are read."""
    raise NotImplementedError
