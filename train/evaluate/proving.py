"""Whether a quick way reads as the model's class does, tried on a small question."""

import io
from collections.abc import Callable, Sequence

import numpy as np

from curate.errors import ConfigError
from curate.storage import sha256
from train.evaluate.lines import Line, Lines
from train.evaluate.records import Ask, Picture, Turn
from train.evaluate.ways import Plain, Way

CLOSE = 1e-3
"""Largest difference of a log-probability in float32, relative where it is beyond 1."""


def proven(quick: Callable[[], Way], plain: Plain, lines: Lines) -> bool:
    """Whether both give the choices of a probe the same log-probabilities; ConfigError when the class itself gives none."""
    asked = lines.of_choices(probe())
    expected = _asked(plain, asked)
    try:
        found = _asked(quick(), asked)
    except Exception:  # a class whose parts are called otherwise fails anyhow
        return False
    return bool(np.allclose(found, expected, rtol=CLOSE, atol=CLOSE))


def _asked(way: Way, lines: Sequence[Line]) -> list[float]:
    scores = [0.0] * len(lines)
    for unit in way.units(0, lines):
        (found,) = way.read([unit])
        if not isinstance(found, list):
            raise ConfigError(f"the model cannot be asked about a plain picture: {found}")
        for choice, score in zip(unit.choices, found, strict=True):
            scores[choice] = score
    return scores


def probe() -> Ask:
    """A question with a demonstration, pictures of two sizes, and choices of several tokens that begin alike."""
    wide, small = noise(1, 96, 48), noise(2, 64, 64)
    shown = Turn((wide,), "What is this called?", "a vehicle")
    return Ask("probe", (shown,), Turn((small,), "What is this called?"), ("a bovine", "a building", "No"))


def noise(seed: int, width: int, height: int) -> Picture:
    """A picture of coloured blocks."""
    from PIL import Image

    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(blocks).resize((width, height)).save(out, "PNG")
    data = out.getvalue()
    return Picture(f"{sha256(data)}.png", data, width, height)
