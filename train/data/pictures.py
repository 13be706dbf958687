"""Stored image bytes as pixels for a processor, the quickest way that gives exactly the pixels of `open_rgb`.

JPEGs, most of what the web holds, are decoded by torchvision: on one core in half the time, straight into a
tensor, rotated as EXIF says. Everything else (alpha, palettes, 16 bits) and every JPEG that torchvision
refuses goes through `curate.images.open_rgb`, which also words the verdict on a bad one.
"""

import io
import warnings
from typing import TYPE_CHECKING

from curate.images import MAX_PIXELS, open_rgb

if TYPE_CHECKING:
    import torch

JPEG = b"\xff\xd8\xff"


def pixels(data: bytes, max_pixels: int = MAX_PIXELS) -> "torch.Tensor":
    """[3, H, W] uint8, as displayed on white; BadImage when the bytes are no usable image.

    The memory order is H, W, 3: a copy into rows of that order is one move.
    """
    if data.startswith(JPEG) and _small_enough(data, max_pixels):
        try:
            return _jpeg(data)
        except (RuntimeError, ImportError):  # damaged, of a kind that it cannot decode, or a torchvision without decoders
            pass
    import numpy as np
    import torch

    return torch.from_numpy(np.array(open_rgb(data, max_pixels))).permute(2, 0, 1)


def _jpeg(data: bytes) -> "torch.Tensor":
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bytes are only read, which torch cannot know; and see docs/decisions.md
        packed = torch.frombuffer(data, dtype=torch.uint8)
        decoded: torch.Tensor = decode_jpeg(packed, mode=ImageReadMode.RGB, apply_exif_orientation=True)
    return decoded


def _small_enough(data: bytes, max_pixels: int) -> bool:
    """Whether the header states a size within the limit; a header that says nothing is left to `open_rgb`."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            width, height = Image.open(io.BytesIO(data), formats=["JPEG"]).size
    except Exception:  # a decoder may raise anything on hostile bytes
        return False
    return width * height <= max_pixels
