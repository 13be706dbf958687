"""What the model sees in a picture: the features that its tower and projector make of it, kept while there is room.

The arrangements of a benchmark show the same pictures again and again, and a frozen tower makes the same of them every time.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from curate.images import BadImage
from train.data.pictures import pixels
from train.data.positions import GRID, Ints
from train.data.records import BadSample
from train.evaluate.records import Picture
from train.model.features import picture_features

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

TOGETHER = 8
"""Pictures that go through the tower at a time."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture as the language model gets it."""

    features: torch.Tensor  # [slots, D]
    grid: Ints  # [3] patches in time, height and width; empty where pictures come without grids
    size: tuple[int, int]  # width and height that were decoded


class Sight:
    """Features of pictures by content, the latest used kept up to `room` bytes."""

    def __init__(
        self, model: "PreTrainedModel", processor: "ProcessorMixin", slots: Callable[[int, int], int], room: int
    ) -> None:
        """`slots` says how many features a picture of some width and height is to have."""
        self._model, self._processor, self._slots, self._room = model, processor, slots, room
        self._names = frozenset(processor.model_input_names)
        self._kept: OrderedDict[str, Seen] = OrderedDict()
        self._held = 0
        self.computed = 0  # pictures that went through the tower

    def of(self, pictures: Iterable[Picture]) -> "dict[str, Seen | BadSample]":
        """By ref, what is seen in every picture, or why it cannot be used."""
        asked = {picture.ref: picture for picture in pictures}
        found: dict[str, Seen | BadSample] = {}
        for ref in asked:
            if ref in self._kept:
                self._kept.move_to_end(ref)
                found[ref] = self._kept[ref]
        new = [picture for ref, picture in asked.items() if ref not in found]
        for first in range(0, len(new), TOGETHER):
            found |= self._looked(new[first : first + TOGETHER])
        return {ref: _as_stated(found[ref], picture) for ref, picture in asked.items()}

    def _looked(self, pictures: Sequence[Picture]) -> "dict[str, Seen | BadSample]":
        decoded = {picture.ref: _decoded(picture) for picture in pictures}
        usable = {ref: one for ref, one in decoded.items() if isinstance(one, torch.Tensor)}
        bad: dict[str, Seen | BadSample] = {ref: one for ref, one in decoded.items() if isinstance(one, BadSample)}
        made = bad | self._processed(usable)
        for ref, seen in made.items():
            if isinstance(seen, Seen):
                self._keep(ref, seen)
        return made

    def _processed(self, decoded: dict[str, torch.Tensor]) -> "dict[str, Seen | BadSample]":
        """All at once; one by one when some are refused by the image processor, which may raise anything."""
        if not decoded:
            return {}
        sizes = [(int(picture.shape[2]), int(picture.shape[1])) for picture in decoded.values()]
        try:
            slots = [self._slots(*size) for size in sizes]
            inputs = self._inputs(list(decoded.values()))
        except Exception as error:  # see above
            detail = f"{type(error).__name__} {' '.join(str(error).split())}"[:200]
            return self._apart(decoded, BadSample("image_refused", detail))
        features = picture_features(self._model, inputs)
        if len(features) != sum(slots):
            detail = f"{len(features)} features came of pictures rendered as {sum(slots)} tokens"
            return self._apart(decoded, BadSample("wrong_shape", detail))
        grids = inputs[GRID].numpy() if GRID in inputs else np.zeros((len(decoded), 0), np.int64)
        self.computed += len(decoded)
        rows = zip(decoded, features.split(slots), grids, sizes, strict=True)
        return {ref: Seen(one, grid, size) for ref, one, grid, size in rows}

    def _apart(self, decoded: dict[str, torch.Tensor], why: BadSample) -> "dict[str, Seen | BadSample]":
        """One by one, so that a bad picture takes no other with it; what is wrong with the last one alone."""
        if len(decoded) == 1:
            return dict.fromkeys(decoded, why)
        return {ref: seen for name in decoded for ref, seen in self._processed({name: decoded[name]}).items()}

    def _inputs(self, pictures: "list[torch.Tensor]") -> dict[str, torch.Tensor]:
        """What the image processor makes of pictures, as Collate asks it."""
        made = self._processor.image_processor(images=pictures, return_tensors="pt", input_data_format="channels_first")
        return {name: tensor for name, tensor in made.items() if name in self._names}

    def _keep(self, ref: str, seen: Seen) -> None:
        self._kept[ref] = seen
        self._held += _bytes(seen)
        while self._held > self._room and self._kept:
            self._held -= _bytes(self._kept.popitem(last=False)[1])


def decoded(picture: Picture) -> torch.Tensor:
    """[3, H, W] uint8; BadSample when the bytes are no picture, or one of another size than stated."""
    try:
        found = pixels(picture.data)
    except BadImage as error:
        raise BadSample(error.reason, error.detail) from None
    if tuple(found.shape[1:]) != (picture.height, picture.width):
        stated = f"{picture.width} x {picture.height}"
        raise BadSample("other_size", f"{found.shape[2]} x {found.shape[1]} and not {stated} as the ask states")
    return found


def _decoded(picture: Picture) -> "torch.Tensor | BadSample":
    try:
        return decoded(picture)
    except BadSample as error:
        return error


def _as_stated(seen: "Seen | BadSample", picture: Picture) -> "Seen | BadSample":
    if isinstance(seen, Seen) and seen.size != (picture.width, picture.height):
        return BadSample("other_size", f"{seen.size} and not {(picture.width, picture.height)} as the ask states")
    return seen


def _bytes(seen: Seen) -> int:
    return int(seen.features.numel() * seen.features.element_size())
