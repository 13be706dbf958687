"""From a run to weights: what a stage starts from, and what an export is made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Start:
    """A model to begin with: what transformers loads, and what runs have since made of it.

        start = weights_of(config.model)
        model = AutoModelForImageTextToText.from_pretrained(start.base, ...)  # also the processor and the config
        start.lay_over(model)  # a plain model in float32 on the CPU; nothing happens where there is nothing to lay over
    """

    base: str  # a folder that transformers loads, or a hub name

    def lay_over(self, model: "nn.Module", adapters: bool = True) -> None:
        """Copies trained weights over the plain model's own, in place, and adds LoRA updates to theirs.

        `adapters=False` leaves out the updates of the last run, which curate export writes apart.
        IntegrityError when the model's other weights are not those that the run was trained over.
        """
        raise NotImplementedError


def weights_of(place: str | Path) -> Start:
    """What `place` stands for: the folder of a run (its latest checkpoint), RUN/checkpoints/step-00000500 or
    RUN/checkpoints/best; anything else is a folder or hub name that transformers loads as it is."""
    raise NotImplementedError
