"""Shared fixtures: pictures and demonstrations that tests draw themselves."""

import io
from collections.abc import Callable

import pytest
from hypothesis import settings
from PIL import Image as Pillow
from PIL import ImageDraw

settings.register_profile("shotcraft", deadline=None)  # a first example may import torch, and machines are busy
settings.load_profile("shotcraft")


def draw_picture(seed: int, size: tuple[int, int] = (200, 160), format: str = "PNG", mode: str = "RGB") -> bytes:
    """A deterministic picture with a structure of its own: coloured boxes and ellipses placed by `seed`."""
    import random

    dice = random.Random(seed)
    picture = Pillow.new("RGB", size, tuple(dice.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    for _ in range(8):
        x, y = dice.randrange(size[0]), dice.randrange(size[1])
        box = (x, y, x + dice.randrange(10, 90), y + dice.randrange(10, 90))
        colour = tuple(dice.randrange(256) for _ in range(3))
        (pen.ellipse if dice.random() < 0.5 else pen.rectangle)(box, fill=colour)
    out = io.BytesIO()
    picture.convert(mode).save(out, format)
    return out.getvalue()


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """`picture(seed, size=, format=, mode=)` gives encoded image bytes."""
    return draw_picture
