"""Pictures of simple shapes, different for every seed and recognisable by class."""

import io
import random

from PIL import Image, ImageDraw

COLOURS = ("#d22", "#22d", "#2a2", "#ec2", "#111", "#e82")


def draw(kind: int, seed: int, size: int = 160) -> bytes:
    """A PNG of shape number `kind` (0 to 5) at a place, in a size and on a ground chosen by `seed`."""
    dice = random.Random(seed)
    picture = Image.new("RGB", (size, size), tuple(dice.randrange(200, 256) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    half = dice.randrange(25, 60)
    x, y = (dice.randrange(half + 2, size - half - 2) for _ in range(2))
    box, colour = (x - half, y - half, x + half, y + half), COLOURS[kind]
    for _ in range(6):  # speckles keep the perceptual hashes of one class apart
        u, v, w = dice.randrange(size), dice.randrange(size), dice.randrange(4, 22)
        pen.rectangle((u, v, u + w, v + w), fill=tuple(dice.randrange(256) for _ in range(3)))
    if kind in (0, 5):
        pen.ellipse(box, fill=colour if kind == 0 else None, outline=colour, width=max(4, half // 4))
    elif kind == 1:
        pen.rectangle(box, fill=colour)
    elif kind == 2:
        pen.polygon(((x, y - half), (x - half, y + half), (x + half, y + half)), fill=colour)
    elif kind == 3:
        pen.regular_polygon((x, y, half), 5, fill=colour)
    else:
        pen.line((x - half, y - half, x + half, y + half), fill=colour, width=half // 3)
        pen.line((x - half, y + half, x + half, y - half), fill=colour, width=half // 3)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
