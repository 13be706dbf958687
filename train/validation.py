"""The loss on a held-out plan: the same first samples every time, without learning from them."""

import itertools
from typing import TYPE_CHECKING

import torch

from train.breakdown import Breakdown, Totals
from train.config import TrainConfig
from train.data.steps import Cursor, Rows, steps
from train.datasets import Data
from train.loss import Targets, token_losses
from train.parallel.sharding import autocast
from train.signals import Asked

if TYPE_CHECKING:
    from train.metrics import Watch
    from train.parallel.ranks import Ranks


class Validation:
    """A held-out plan, and how many of its steps are measured."""

    def __init__(self, config: TrainConfig, data: Data, ranks: "Ranks", samples: int) -> None:
        self._config, self._data, self._ranks = config, data, ranks
        with data.loader(ranks) as loader:
            self._steps = _steps_with(loader.rows, data.settings.batch, samples)

    @classmethod
    def of(cls, config: TrainConfig, ranks: "Ranks", watch: "Watch", asked: Asked) -> "Validation | None":
        """The config's validation, its plan opened and measured; None where it wants none."""
        if config.validation is None or config.held_out is None:
            return None
        alone = config.model_copy(update={"aim": config.aim.model_copy(update={"distill": 0.0})})
        return cls(config, Data.of(alone, config.held_out, ranks, watch, asked), ranks, config.validation.samples)

    def measure(self, model: torch.nn.Module) -> Totals:
        """The mean loss over the samples, and its parts; every rank must ask."""
        losses = Breakdown(self._data.plan, self._ranks.device)
        was, device = model.training, self._ranks.device
        model.eval()
        with torch.no_grad(), self._data.loader(self._ranks) as loader:
            for batches in itertools.islice(loader, self._steps):
                for batch in batches:
                    targets = Targets.of(batch)
                    there = batch.map(lambda tensor: tensor.to(device))
                    cast = autocast(self._config.compute, self._ranks)
                    losses.add(targets, token_losses(model, there, targets.to(device), self._data.settings.packing, cast))
        model.train(was)
        return losses.totals(self._ranks)


def _steps_with(rows: Rows, batch: int, samples: int) -> int:
    """Steps from the plan's beginning that hold at least so many samples, or all steps."""
    count = held = 0
    for step in steps(rows, batch, Cursor(), epochs=1):
        if held >= samples:
            break
        held, count = held + sum(map(len, step.rows)), count + 1
    return count
