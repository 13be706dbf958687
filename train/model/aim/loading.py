"""The projection on a model, and what a run says of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curate.errors import ConfigError, InputError
from curate.seeding import seed_of
from curate.settings import build, read_yaml
from train.model.aim.backbone import backbone_of
from train.model.aim.forward import projection_of
from train.model.aim.projection import Projection
from train.model.aim.settings import AimSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.config import TrainConfig

WEIGHTS, SETTINGS = "aim.safetensors", "aim.json"
"""A projection beside a model's files."""


def attach(model: "PreTrainedModel", settings: AimSettings, seed: int = 0) -> Projection:
    """Puts a projection on a model as `model.aim` and gives it. ConfigError for layers that the model has not."""
    backbone = backbone_of(model)
    try:
        layers = settings.resolved(backbone.depth)
    except ValueError as error:
        raise ConfigError(f"aim.{error}") from None
    meta = model.device.type == "meta"
    with torch.random.fork_rng(devices=[]), torch.device("meta" if meta else "cpu"):
        torch.manual_seed(seed_of(seed, "aim", "projection") >> 1)
        projection = Projection(backbone.width, len(layers), settings)
    with torch.no_grad():
        if not meta:
            projection.size.fill_(backbone.size())
        if settings.init != "random" and not meta:
            apart = projection.linear.in_features // backbone.width
            projection.linear.weight.copy_(torch.eye(backbone.width).repeat(1, apart) / apart)
            projection.linear.bias.zero_()
    model.add_module("aim", projection.to(model.device))
    return projection


def with_projection(model: "PreTrainedModel", config: "TrainConfig") -> None:
    """Puts on what the stage of a config wants. ConfigError where a model that fuses demonstrations is to be trained
    otherwise: the projection would no longer fit it."""
    known = projection_of(model)
    if config.stage == "aim" and known is None:
        attach(model, config.aim, config.seed)
    elif config.stage != "aim" and known is not None:
        raise ConfigError(
            f"{config.model} fuses demonstrations; start the stage {config.stage} from the model that it was made of"
        )


def write_projection(folder: Path, projection: Projection) -> None:
    """Writes a projection and its settings beside a model's files."""
    from safetensors.torch import save_file

    tensors = {name: tensor.float().contiguous() for name, tensor in projection.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / SETTINGS).write_text(projection.settings.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_projection(model: "PreTrainedModel", folder: Path) -> None:
    """Puts the projection that lies beside a model's files on the model; nothing where there is none. InputError for one that
    does not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / SETTINGS).is_file():
        return
    projection = attach(model, build(AimSettings, read_yaml(folder / SETTINGS), str(folder / SETTINGS)))
    try:
        projection.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError, SafetensorError) as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(f"{folder / WEIGHTS} does not fit the model beside it: {detail}") from None
    projection.fresh = False


def settings_of(run: Path) -> AimSettings | None:
    """The AIM settings of a run of the stage `aim`; None for any other run."""
    from train.folder import CONFIG

    known: Any = read_yaml(run / CONFIG)
    if known.get("stage") != "aim":
        return None
    return build(AimSettings, known.get("aim") or {}, f"{run / CONFIG}, aim")
