"""A blank picture for micro-batches that have none.

A sharded model is gathered part by part by all ranks together, and a trained part has its gradients summed by all:
a rank that passed the tower by, because its texts came without pictures, would leave the others waiting. So each
such micro-batch gets one blank picture, as an episode of its own behind what lies there: nothing sees it, nothing is
to be predicted in it, and whatever is computed of it has a gradient of zero.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate.errors import ConfigError
from train.data.positions import GRID
from train.data.records import Rendered, Segment
from train.data.rendering.pictures import blank
from train.data.sheets import Laid

if TYPE_CHECKING:
    import torch

SIDES = (28, 64, 224, 384)
"""Sides in pixels that are tried: where a picture costs by its size, the smallest is cheapest, but some processors
refuse it or make it larger."""

NOBODY = -1
"""The number of no sample."""


@dataclass(frozen=True)
class Blank:
    """A picture of nothing: the tokens that stand for it, and what the image processor makes of it."""

    rendered: Rendered
    pixels: "dict[str, torch.Tensor]"

    @classmethod
    def cheapest(cls, processor: Any) -> "Blank":
        """The one with the fewest tokens that the processor can be asked for; ConfigError where it takes none."""
        made = list(_attempts(processor))
        if not made:
            raise ConfigError(f"{type(processor).__name__} takes no blank picture, which rows without pictures need")
        return min(made, key=lambda one: (len(one.rendered.input_ids), one.pixels["pixel_values"].numel()))

    @property
    def grids(self) -> npt.NDArray[np.int64]:
        """[1, 3] patches in time, height and width; [0, 3] where pictures come without grids."""
        return self.pixels[GRID].numpy() if GRID in self.pixels else np.zeros((0, 3), np.int64)

    def laid(self, others: Sequence[Laid], rows: int, positions: npt.NDArray[np.int64]) -> Laid:
        """The blank behind the episodes of the row with most room."""
        ends = [0] * rows
        for one in others:
            ends[one.segment.row] = max(ends[one.segment.row], one.segment.stop)
        start = min(ends)
        segment = Segment(ends.index(start), start, start + len(self.rendered.input_ids), NOBODY)
        return Laid(segment, self.rendered, positions)


def _attempts(processor: Any) -> Iterator[Blank]:
    """One blank of every side, in one piece where the processor would cut pictures into tiles."""
    whole = [{"do_image_splitting": False}] if hasattr(processor.image_processor, "do_image_splitting") else []
    for side in SIDES:
        for options in (*whole, {}):
            try:
                yield _made(processor, side, options)
            except Exception:  # a processor may refuse a size, or an option, by any of them
                continue


def _made(processor: Any, side: int, options: dict[str, bool]) -> Blank:
    picture = blank((side, side))
    text = processor(text=[processor.image_token], images=[picture], add_special_tokens=False, **options)
    ids = np.asarray(text["input_ids"][0], np.int64)
    made = processor.image_processor(images=[picture], return_tensors="pt", **options)
    pixels = {name: tensor for name, tensor in made.items() if name in processor.model_input_names}
    there = int(np.count_nonzero(ids == processor.image_token_id))
    nothing, unanswered = np.zeros(len(ids), np.float32), np.full(len(ids), -1, np.int16)
    return Blank(Rendered(ids, nothing, unanswered, (), there, ()), pixels)
