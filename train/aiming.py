"""The stage `aim` before its first step: where its projection begins."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from train.checkpoint.layout import CHECKPOINTS, steps_in
from train.config import TrainConfig
from train.data.loader import Loader
from train.datasets import Data
from train.model.aim.starting import begin_with_ridge

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.metrics import Watch


def begin(model: "PreTrainedModel", data: Data, config: TrainConfig, watch: "Watch") -> None:
    """Fits the projection by ridge regression on the plan's first micro-batches, alike on every rank. Not where the settings
    want another start, the run goes on, or the model it starts from has been fused already."""
    if config.aim.init != "ridge" or steps_in(Path(config.out) / CHECKPOINTS) or not model.aim.fresh:
        return
    settings = data.settings.model_copy(update={"workers": 0})
    with Loader(data.plan, data.collate, settings, data.lengths) as loader:
        batches = itertools.islice((batch for step in loader for batch in step), config.aim.ridge_steps)
        moved = (batch.map(lambda tensor: tensor.to(model.device)).inputs for batch in batches)
        fitted = begin_with_ridge(model, moved, config.aim.ridge)
    watch.note(f"the projection begins with a ridge regression on {fitted:,} states")
