"""Positions of the tokens of one episode, as the model's rotary embedding counts them.

Most models count tokens. Qwen2-VL and its successors count in three directions at once (M-RoPE, arXiv
2409.12191, section 2.1): text moves all three alike; an image stays where it is in time and spreads over
height and width, and the text behind it goes on after the larger of the two.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from curate.errors import ConfigError

Ints: TypeAlias = npt.NDArray[np.int64]
Counting: TypeAlias = Literal["plain", "mrope"]

MROPE = ("Qwen2VLProcessor", "Qwen2_5_VLProcessor", "Qwen3VLProcessor")
"""Processors whose models count in three directions; each is checked against the model's own function in the tests."""

GRID = "image_grid_thw"


def counting_of(processor: Any) -> Counting:
    """How the processor's model counts; ConfigError where images come as grids and nobody says how they are counted."""
    if type(processor).__name__ in MROPE:
        return "mrope"
    if GRID in processor.model_input_names:
        raise ConfigError(
            f"{type(processor).__name__} cuts images into grids and it is not known how its model counts positions;"
            " set positions to mrope (as in Qwen2-VL) or plain"
        )
    return "plain"


def plain_positions(length: int) -> Ints:
    """[T]: 0, 1, 2, ..."""
    return np.arange(length, dtype=np.int64)


def mrope_positions(is_image: npt.NDArray[np.bool_], grids: Ints, merge: int) -> Ints:
    """[3, T] positions in time, height and width.

    `is_image` [T] marks image tokens; `grids` [images, 3] holds the patches of each image in time, height and width,
    `merge` x `merge` of which make one token. ValueError when grids and image tokens do not belong together.
    """
    parts, at, position = [], 0, 0
    for time, height, width in (grids // [1, merge, merge]).tolist():
        tokens = time * height * width
        first = at + int(np.argmax(is_image[at:])) if at < len(is_image) else at
        if not is_image[first : first + tokens].all() or first + tokens > len(is_image):
            raise ValueError(f"an image of {tokens} tokens was rendered as fewer")
        parts.append(_text(first - at, position))
        position += first - at
        parts.append(position + np.indices((time, height, width)).reshape(3, tokens))
        at, position = first + tokens, position + max(height, width)
    if is_image[at:].any():
        raise ValueError("more image tokens were rendered than the images have")
    return np.concatenate([*parts, _text(len(is_image) - at, position)], axis=1).astype(np.int64)


def _text(length: int, start: int) -> Ints:
    return np.broadcast_to(np.arange(start, start + length, dtype=np.int64), (3, length))
