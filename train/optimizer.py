"""AdamW over parameter groups, and a learning rate that is a function of the step alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from train.config import OptimizerSettings


def adamw(groups: Sequence[Mapping[str, Any]], settings: OptimizerSettings) -> torch.optim.AdamW:
    """The optimiser over groups with `params`, `lr` and `weight_decay`, whose `lr` is kept as the group's `peak`."""
    made = [{**group, "peak": group["lr"]} for group in groups]
    return torch.optim.AdamW(made, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)


class Schedule:
    """Linear warm-up from 0 to the peak, then a cosine, a line or nothing towards `final` of it."""

    def __init__(self, settings: OptimizerSettings, steps: int) -> None:
        self._settings, self._steps = settings, steps
        share = settings.warmup
        self._warmup = min(steps, round(share * steps) if share < 1 else int(share))

    def factor(self, step: int) -> float:
        """Share of the peak learning rate that the step, counted from 0, is taken with; above 0 at every step."""
        if step < self._warmup:
            return (step + 1) / (self._warmup + 1)
        progress = (step - self._warmup) / max(1, self._steps - self._warmup)
        falling = {"cosine": 0.5 * (1 + math.cos(math.pi * progress)), "linear": 1 - progress, "constant": 1.0}
        return self._settings.final + (1 - self._settings.final) * falling[self._settings.schedule]

    def apply(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Sets the learning rates of all groups for a step."""
        factor = self.factor(step)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
