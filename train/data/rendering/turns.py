"""An episode's record as turns. A record may come from anywhere: whatever is wrong with it is a BadSample."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.images import MAX_PIXELS
from train.data.records import BadSample

MAX_TURNS = 1000

Size = tuple[int, int]  # width and height in pixels as displayed


@dataclass(frozen=True, slots=True)
class Turn:
    """A demonstration, or the query: pictures, a question that may be empty, and an answer."""

    question: str
    answer: str
    sizes: tuple[Size, ...]
    places: tuple[int, ...]  # of its pictures among the sample's
    similarity: float  # to the query; -inf where the record states none


def read_turns(record: Mapping[str, Any]) -> list[Turn]:
    """Demonstrations in order, then the query. BadSample `bad_record` when KEY.json has another shape,
    `bad_size` when a picture's size is none, `empty_answer` when there is nothing to learn."""
    shots, turns, images = (
        [*_list(record, "demonstrations"), record.get("query")],
        _list(record, "turns"),
        record.get("images"),
    )
    if len(shots) != len(turns) or len(shots) > MAX_TURNS:
        raise BadSample("bad_record", f"{len(shots)} shots and {len(turns)} turns")
    if type(images) is not int or images < 0:
        raise BadSample("bad_record", "images is no number")
    return [_turn(shot, places, images) for shot, places in zip(shots, turns, strict=True)]


def _list(record: Mapping[str, Any], key: str) -> list[Any]:
    found = record.get(key) if isinstance(record, Mapping) else None
    if not isinstance(found, list):
        raise BadSample("bad_record", f"{key} is no list")
    return found


def _turn(shot: Any, places: Any, images: int) -> Turn:
    if not isinstance(shot, Mapping):
        raise BadSample("bad_record", "a shot is no object")
    pictures = _list(shot, "images")
    if not isinstance(places, list) or len(places) != len(pictures):
        raise BadSample("bad_record", "a turn does not have the pictures of its shot")
    if any(type(place) is not int or not 0 <= place < images for place in places):
        raise BadSample("bad_record", "a turn points outside the sample")
    answer = _text(shot, "answer")
    if not answer.strip():
        raise BadSample("empty_answer")
    return Turn(_text(shot, "question"), answer, _sizes(pictures), tuple(places), _similarity(shot.get("similarity")))


def _text(shot: Mapping[str, Any], key: str) -> str:
    found = shot.get(key)
    if not isinstance(found, str):
        raise BadSample("bad_record", f"{key} is no text")
    if not found.isascii():
        try:
            found.encode()
        except UnicodeEncodeError:
            raise BadSample("bad_record", f"{key} holds half a character") from None
    return found


def _sizes(pictures: Sequence[Any]) -> tuple[Size, ...]:
    sizes = []
    for picture in pictures:
        width, height = (picture.get("width"), picture.get("height")) if isinstance(picture, Mapping) else (None, None)
        if type(width) is not int or type(height) is not int or min(width, height) < 1 or width * height > MAX_PIXELS:
            raise BadSample("bad_size", f"{str(width)[:20]} x {str(height)[:20]}")
        sizes.append((width, height))
    return tuple(sizes)


def _similarity(value: Any) -> float:
    stated = isinstance(value, int | float) and not isinstance(value, bool) and -1e9 < value < 1e9  # false for NaN
    return float(value) if stated else -math.inf
