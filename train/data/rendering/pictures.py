"""Which tokens the processor makes for a picture of a given size, found out once a size with a blank one."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curate.errors import ConfigError
from train.data.records import BadSample
from train.data.rendering.turns import Size

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from transformers import ProcessorMixin

Ids = npt.NDArray[np.int64]

REMEMBERED = 1 << 16
"""Sizes whose tokens are kept."""

TRUSTED_AFTER = 4
"""Sizes for which a processor's own arithmetic is compared with a true call before it is believed;
from then on at every power of two."""


def blank(size: Size) -> "Picture":
    """A grey picture."""
    from PIL import Image

    return Image.new("RGB", size, (128, 128, 128))


class Pictures:
    """The token ids that stand for a picture, by its size."""

    def __init__(self, processor: "ProcessorMixin") -> None:
        self._processor = processor
        self.placeholder = str(processor.image_token)
        self.placeholder_id = int(processor.tokenizer.convert_tokens_to_ids(self.placeholder))
        self._known: dict[Size, Ids] = {}
        self._runs: dict[int, Ids] = {}
        self._asked, self._arithmetic = 0, hasattr(processor, "_get_num_multimodal_tokens")

    def of(self, size: Size) -> Ids:
        """[tokens] of a picture of (width, height); BadSample `bad_size` where the processor refuses it."""
        known = self._known.get(size)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            try:
                known = self._known[size] = self._found(size)
            except (ValueError, ZeroDivisionError, RuntimeError, TypeError) as error:  # as its image processor sees fit
                detail = " ".join(str(error).split())[:200]
                raise BadSample("bad_size", f"{size[0]} x {size[1]}: {detail}") from None
        return known

    def _found(self, size: Size) -> Ids:
        if not self._arithmetic:
            return self._called(size)
        self._asked += 1
        computed = self._computed(size)
        if self._asked > TRUSTED_AFTER and self._asked & (self._asked - 1):
            return computed
        called = self._called(size)
        if not np.array_equal(called, computed):
            self._arithmetic = False
            self._known.clear()
        return called

    def _computed(self, size: Size) -> Ids:
        """By the processor's arithmetic, for those that repeat one token."""
        count = int(self._processor._get_num_multimodal_tokens(image_sizes=[size[::-1]])["num_image_tokens"][0])
        if count not in self._runs:
            self._runs[count] = np.full(count, self.placeholder_id, np.int64)
        return self._runs[count]

    def _called(self, size: Size) -> Ids:
        made = self._processor(text=[self.placeholder], images=[blank(size)], add_special_tokens=False)
        return np.asarray(made["input_ids"][0], np.int64)

    def check(self) -> None:
        """ConfigError when the processor cannot even do a plain picture."""
        try:
            found = self._called((64, 64))
        except Exception as error:
            detail = " ".join(str(error).split())[:300]
            raise ConfigError(f"the processor does not take a picture with a text: {detail}") from None
        if not (found == self.placeholder_id).any():
            raise ConfigError(f"the processor makes no {self.placeholder} tokens for a picture")
