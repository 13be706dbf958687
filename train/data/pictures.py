"""Stored image bytes as pixels for a processor, the quickest way that gives exactly the pixels of `open_rgb`.

JPEGs, most of what the web holds, are decoded by torchvision: on one core in half the time, straight into a
tensor. Everything else (alpha, palettes, 16 bits), every JPEG that is to be turned (readers differ on damaged
EXIF) and every one that torchvision refuses goes through `curate.images.open_rgb`, which also words the
verdict on a bad one.
"""

import io
import warnings
from typing import TYPE_CHECKING

from curate.images import MAX_PIXELS, open_rgb

if TYPE_CHECKING:
    import torch

JPEG = b"\xff\xd8\xff"
ORIENTATION, UPRIGHT = 0x0112, 1


def pixels(data: bytes, max_pixels: int = MAX_PIXELS) -> "torch.Tensor":
    """[3, H, W] uint8, as displayed on white; BadImage when the bytes are no usable image.

    The memory order is H, W, 3: a copy into rows of that order is one move.
    """
    if data.startswith(JPEG) and _plain(data, max_pixels):
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
        decoded: torch.Tensor = decode_jpeg(packed, mode=ImageReadMode.RGB)
    return decoded


def _plain(data: bytes, max_pixels: int) -> bool:
    """Whether the header states a size within the limit and a picture that stands upright."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data), formats=["JPEG"])
            upright = picture.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT
    except Exception:  # a decoder may raise anything on hostile bytes; open_rgb will say what
        return False
    return upright and picture.width * picture.height <= max_pixels
