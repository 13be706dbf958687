"""The projection on a model, and what a run says of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from curate.errors import ConfigError
from curate.seeding import seed_of
from curate.settings import build, read_yaml
from train.model.aim.backbone import backbone_of
from train.model.aim.projection import Projection
from train.model.aim.settings import AimSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
            projection.linear.weight.copy_(torch.eye(backbone.width))
            projection.linear.bias.zero_()
    model.add_module("aim", projection.to(model.device))
    return projection


def settings_of(run: Path) -> AimSettings | None:
    """The AIM settings of a run of the stage `aim`; None for any other run."""
    from train.folder import CONFIG

    known: Any = read_yaml(run / CONFIG)
    if known.get("stage") != "aim":
        return None
    return build(AimSettings, known.get("aim") or {}, f"{run / CONFIG}, aim")
