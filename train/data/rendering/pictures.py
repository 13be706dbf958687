"""Which tokens the processor makes for a picture of a given size, found out once a size with a blank one."""

from collections.abc import Collection
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

    def __init__(self, processor: "ProcessorMixin", controls: Collection[int]) -> None:
        """`controls` are the tokens that no text merges with."""
        token = getattr(processor, "image_token", None)
        if not token:
            raise ConfigError("the model's processor has no image token; it is not one for pictures and text")
        self._processor, self.placeholder = processor, str(token)
        self.placeholder_id = int(processor.tokenizer.convert_tokens_to_ids(self.placeholder))
        self._known: dict[Size, Ids] = {}
        self._runs: dict[int, Ids] = {}
        self._asked, self._arithmetic = 0, hasattr(processor, "_get_num_multimodal_tokens")
        self._controls, self._sound = controls, False

    def of(self, size: Size) -> Ids:
        """[tokens] of a picture of (width, height); BadSample `bad_size` where the processor refuses it,
        ConfigError where it refuses all."""
        known = self._known.get(size)
        if known is None:
            self._check()
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[size] = self._found(size)
        return known

    def _found(self, size: Size) -> Ids:
        self._asked += self._arithmetic
        computed = self._computed(size) if self._arithmetic else None
        if computed is not None and self._asked > TRUSTED_AFTER and self._asked & (self._asked - 1):
            return computed
        try:
            called = self._called(size)
        except Exception as error:  # its image processor may refuse a size by any of them
            detail = " ".join(str(error).split())[:200]
            raise BadSample("bad_size", f"{size[0]} x {size[1]}: {detail}") from None
        if self._arithmetic and (computed is None or not np.array_equal(called, computed)):
            self._arithmetic = False
            self._known.clear()
        return called

    def _computed(self, size: Size) -> Ids | None:
        """By the processor's arithmetic, for those that repeat one token; None where it fails."""
        try:
            count = int(self._processor._get_num_multimodal_tokens(image_sizes=[size[::-1]])["num_image_tokens"][0])
        except Exception:  # meant for one kind of image processor, it fails with another; a true call tells
            return None
        if count not in self._runs:
            self._runs[count] = np.full(count, self.placeholder_id, np.int64)
        return self._runs[count]

    def _called(self, size: Size) -> Ids:
        made = self._processor(text=[self.placeholder], images=[blank(size)], add_special_tokens=False)
        return np.asarray(made["input_ids"][0], np.int64)

    def _check(self) -> None:
        """ConfigError when the processor cannot even do a plain picture; otherwise what it refuses is the size."""
        if self._sound:
            return
        try:
            found = self._called((64, 64))
        except Exception as error:
            detail = " ".join(str(error).split())[:300]
            raise ConfigError(f"the processor does not take a picture with a text: {detail}") from None
        if not (found == self.placeholder_id).any():
            raise ConfigError(f"the processor makes no {self.placeholder} tokens for a picture")
        if not {int(found[0]), int(found[-1])} <= set(self._controls):
            raise ConfigError("the processor puts plain text around pictures, which merges with what is beside; not supported")
        self._sound = True
