"""Token ids with the pictures' tokens put in, and with the weights of the loss beside them."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from train.data.records import Rendered
from train.data.rendering.pictures import Ids
from train.data.rendering.settings import RenderSettings
from train.data.rendering.template import Span


def in_tokens(spans: Sequence[Span], offsets: Sequence[tuple[int, int]], length: int) -> list[Span]:
    """Spans of characters as spans of the tokens that touch them."""
    bounds = np.fromiter(chain.from_iterable(offsets), np.int64, 2 * len(offsets)).reshape(-1, 2)
    if len(bounds) > 1 and not bounds[-1].any():
        bounds[-1] = length  # a token that the tokenizer puts behind the text
    starts, ends = np.maximum.accumulate(bounds, 0).T
    return [
        Span(turn, int(np.searchsorted(ends, start, "right")), int(np.searchsorted(starts, stop, "left")))
        for turn, start, stop in spans
    ]


def expanded(ids: Ids, pictures: Sequence[Ids], placeholder: int) -> tuple[Ids, npt.NDArray[np.int64]]:
    """Ids with each placeholder replaced by its picture's, and how often each of the old positions repeats."""
    repeats = np.ones(len(ids), np.int64)
    places = np.flatnonzero(ids == placeholder)
    repeats[places] = [len(picture) for picture in pictures]
    edges = [0, *(places + 1).tolist()]
    pieces = [piece for start, place, picture in zip(edges, places.tolist(), pictures, strict=False)
              for piece in (ids[start:place], picture)]  # fmt: skip
    return np.concatenate([*pieces, ids[edges[-1] :]]), repeats


def laid(
    ids: Ids,
    spans: Sequence[Span],
    pictures: Sequence[Ids],
    placeholder: int,
    places: tuple[int, ...],
    kept: tuple[int, ...],
    settings: RenderSettings,
) -> Rendered:
    """The finished sequence, pictures' tokens and weights in it."""
    weights, answers = np.zeros(len(ids), np.float32), np.full(len(ids), -1, np.int16)
    for turn, start, stop in spans:
        weight = settings.weight(query=turn == len(kept))
        if weight > 0:
            weights[start:stop], answers[start:stop] = weight, turn
    whole, repeats = expanded(ids, pictures, placeholder)
    tokens = sum(map(len, pictures))
    return Rendered(whole, np.repeat(weights, repeats), np.repeat(answers, repeats), places, tokens, kept)
