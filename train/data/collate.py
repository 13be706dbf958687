"""Rows of samples into a micro-batch: pictures decoded, episodes rendered and laid side by side, all padded alike.

A sample that cannot be used becomes a fault and leaves its place in the row to padding. Nothing moves up to fill
it, so that what a row holds never depends on which rank looked at it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from curate.errors import IntegrityError
from curate.images import BadImage
from curate.settings import Settings
from curate.shards import Sample
from train.data.blank import Blank
from train.data.pictures import pixels
from train.data.positions import GRID, counting_of, mrope_positions, plain_positions
from train.data.records import BadSample, Batch, Fault, Loaded, Rendered, Row, Segment
from train.data.sheets import IGNORED as IGNORED
from train.data.sheets import Laid, Sheets

if TYPE_CHECKING:
    import torch


class Renders(Protocol):
    """What collating needs of a Renderer."""

    processor: Any

    def render(self, record: Mapping[str, Any]) -> Rendered:
        """The episode as tokens; BadSample when that cannot be."""


class CollateSettings(Settings):
    """How rows become tensors."""

    pad_to: int | None = Field(default=None, gt=0)
    """Positions of every row, such as the loader's max_tokens: equal shapes at every step. Null: as the longest row needs."""

    multiple: int = Field(default=64, gt=0)
    """Without `pad_to`, the longest row is rounded up to a multiple of this."""

    positions: Literal["auto", "plain", "mrope"] = "auto"
    """How the model counts positions; auto knows it by the processor."""

    blank: bool = False
    """Lay a blank picture into every micro-batch without one, so that all ranks go through the same parts of the model."""


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """An episode that can be used: rendered, its pictures decoded. Equal to nothing but itself."""

    loaded: Loaded
    rendered: Rendered
    pictures: "tuple[torch.Tensor, ...]"  # [3, H, W] uint8 each


class Collate:
    """Makes a Batch of rows. Holds a processor and no model, and pickles."""

    def __init__(self, renderer: Renders, settings: CollateSettings | None = None) -> None:
        self.settings = settings or CollateSettings()
        self._renderer = renderer
        processor, asked = renderer.processor, self.settings.positions
        self._counting = counting_of(processor) if asked == "auto" else asked
        self._names = frozenset(processor.model_input_names)
        self._image_token = int(processor.image_token_id)
        self._padding = padding_token(processor.tokenizer, self._image_token)
        self._blank = Blank.cheapest(processor) if self.settings.blank else None

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """One micro-batch. `faults` are those found here; those that stand in the rows are known to the caller."""
        made = [[self._ready(episode) for episode in row if isinstance(episode, Loaded)] for row in rows]
        pixels, refused = self._pixels([one for row in made for one in row if isinstance(one, Ready)])
        faults = [one if isinstance(one, Fault) else refused.get(one) for row in made for one in row]
        usable = [[one for one in row if isinstance(one, Ready) and one not in refused] for row in made]
        laid = list(self._laid(usable, pixels))
        return self._batch(len(rows), laid, pixels, tuple(fault for fault in faults if fault))

    def _ready(self, loaded: Loaded) -> Ready | Fault:
        sample = loaded.sample
        try:
            rendered = self._renderer.render(sample.record)
            sizes = sizes_of(sample.record)
            pictures = tuple(picture_of(sample, place, sizes) for place in rendered.images)
        except (BadSample, BadImage) as error:
            return fault_of(loaded, error.reason, error.detail)
        except IntegrityError as error:
            return fault_of(loaded, "wrong_shape", str(error))
        return Ready(loaded, rendered, pictures)

    def _pixels(self, ready: Sequence[Ready]) -> "tuple[dict[str, torch.Tensor], dict[Ready, Fault]]":
        """What the image processor makes of all pictures at once, and the episodes that it refuses."""
        try:
            return self._processed([picture for one in ready for picture in one.pictures]), {}
        except Exception:  # a processor may raise anything on a picture that it dislikes: ask it for each episode
            refused = {one: fault for one in ready if (fault := self._refusal(one))}
            if not refused:
                raise
            return self._processed([p for one in ready if one not in refused for p in one.pictures]), refused

    def _refusal(self, one: Ready) -> Fault | None:
        try:
            self._processed(one.pictures)
        except Exception as error:  # see above
            return fault_of(one.loaded, "image_refused", f"{type(error).__name__} {' '.join(str(error).split())}"[:200])
        return None

    def _processed(self, pictures: "Sequence[torch.Tensor]") -> "dict[str, torch.Tensor]":
        if not pictures:
            return {}
        made = self._renderer.processor.image_processor(
            images=list(pictures), return_tensors="pt", input_data_format="channels_first"
        )
        return {name: tensor for name, tensor in made.items() if name in self._names}

    def _laid(self, rows: Sequence[Sequence[Ready]], pixels: "Mapping[str, torch.Tensor]") -> Iterator[Laid]:
        """Episodes side by side, with their positions."""
        grids = pixels[GRID].numpy() if GRID in pixels else np.zeros((0, 3), np.int64)
        image = 0
        for number, row in enumerate(rows):
            start = 0
            for one in row:
                stop = start + len(one.rendered.input_ids)
                own = grids[image : image + len(one.pictures)]
                yield Laid(Segment(number, start, stop, one.loaded.number), one.rendered, self._positions(one.rendered, own))
                start, image = stop, image + len(one.pictures)

    def _positions(self, rendered: Rendered, grids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if self._counting == "plain":
            return plain_positions(len(rendered.input_ids))
        merge = int(self._renderer.processor.image_processor.merge_size)
        return mrope_positions(rendered.input_ids == self._image_token, grids, merge)

    def _batch(
        self, rows: int, laid: Sequence[Laid], pixels: "Mapping[str, torch.Tensor]", faults: tuple[Fault, ...]
    ) -> Batch:
        import torch

        length, added = self._length(laid), list(laid)
        if self._blank and not pixels:
            pixels = self._blank.pixels
            added.append(self._blank.laid(laid, rows, self._positions(self._blank.rendered, self._blank.grids)))
            stop = added[-1].segment.stop
            length = length if stop <= length else self._rounded(stop)
        sheets = Sheets(rows, length, self._padding, threefold=self._counting == "mrope")
        for one in added:
            sheets.write(one)
        inputs = {"input_ids": sheets.input_ids, "position_ids": sheets.positions}
        if "mm_token_type_ids" in self._names:  # 0 text, 1 image: what the model tells its images apart by
            inputs["mm_token_type_ids"] = (sheets.input_ids == self._image_token).astype(np.int64)
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        own = (sheets.labels, sheets.weights, sheets.answers, sheets.segments)
        labels, weights, answers, segments = map(torch.from_numpy, own)
        contents = tuple(one.segment for one in laid)
        return Batch({**tensors, **pixels}, labels, weights, answers, segments, contents, faults)

    def _length(self, laid: Sequence[Laid]) -> int:
        longest = max((one.segment.stop for one in laid), default=1)
        if self.settings.pad_to is None:
            return self._rounded(longest)
        if longest > self.settings.pad_to:
            raise ValueError(f"a row of {longest} positions does not fit into pad_to {self.settings.pad_to}")
        return self.settings.pad_to

    def _rounded(self, length: int) -> int:
        return -(-length // self.settings.multiple) * self.settings.multiple


def picture_of(sample: Sample, place: int, sizes: Mapping[int, tuple[int, int]]) -> "torch.Tensor":
    """A decoded picture; BadImage or BadSample when it is not what the record says."""
    if not 0 <= place < len(sample.images) or place not in sizes:
        raise BadSample("missing_image", f"image {place} of {len(sample.images)}")
    picture = pixels(sample.images[place])
    height, width = picture.shape[1:]
    if (width, height) != sizes[place]:
        stated = " x ".join(map(str, sizes[place]))
        raise BadSample("other_size", f"image {place} is {width} x {height}, the record states {stated}")
    return picture


def sizes_of(record: Mapping[str, Any]) -> dict[int, tuple[int, int]]:
    """Width and height of every image of a sample as its record states them, by the image's number."""
    try:
        shots = [*record["demonstrations"], record["query"]]
        pairs = [pair for places, shot in zip(record["turns"], shots, strict=True)
                 for pair in zip(places, shot["images"], strict=True)]  # fmt: skip
        return {int(place): (int(image["width"]), int(image["height"])) for place, image in pairs}
    except (KeyError, TypeError, ValueError) as error:
        raise BadSample("wrong_shape", f"{type(error).__name__} {error}") from None


def fault_of(loaded: Loaded, reason: str, detail: str) -> Fault:
    """Why a sample cannot be used, and where it lies."""
    return Fault(loaded.number, loaded.sample.key, loaded.sample.shard, reason, detail)


def padding_token(tokenizer: Any, image_token: int) -> int:
    """Any token but the image's, which would ask for pictures."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0, 1)
    return next(int(token) for token in known if token is not None and token != image_token)
