"""What a plan knows of a sample, read from its KEY.json. The JSON may come from anywhere, so nothing in it is trusted."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from curate.mixture.tokens import BadRecord, TokenCounter
from curate.shards.plans import NAMES
from curate.shards.writing import TALLIED

WORDS = {"concept_type": "task"} | {name: name for name in NAMES if name not in ("source", "concept_type")}
"""Column of the plan -> field of the episode; `source` is the plan's own name for where a sample comes from."""

PICTURE = re.compile(r"\d+\.[a-z0-9]{1,5}")
MOST = 2**31 - 1


def facts(data: bytes, suffixes: Sequence[str], counter: TokenCounter) -> dict[str, Any]:
    """One row of the catalogue without its places; BadRecord with the reason not_json, not_an_episode,
    member_mismatch, or one of the counter's."""
    record = _parsed(data)
    try:
        _check_shape(record)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadRecord("not_an_episode", f"{type(error).__name__} {error}"[:200]) from None
    if record["members"] != list(suffixes) or not all(PICTURE.fullmatch(suffix) for suffix in suffixes):
        raise BadRecord("member_mismatch", f"it names {str(record['members'])[:80]}, the shard holds {list(suffixes)[:8]}")
    tokens = counter.count(record)
    shots = record["demonstrations"]
    return {
        **{column: record[name] for column, name in WORDS.items()},
        "shots": len(shots),
        "images": len(suffixes),
        "supervised_tokens": min(tokens.supervised, MOST),
        "image_tokens": min(tokens.image, MOST),
        "coherence": coherence(shots),
        "hardness": hardness(shots),
    }


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRecord("not_json", str(error)[:200]) from None
    if not isinstance(record, dict):
        raise BadRecord("not_json", f"a {type(record).__name__}, not an object")
    return record


def _check_shape(record: dict[str, Any]) -> None:
    """KeyError, TypeError or ValueError unless the fields that are read here have their types."""
    for name in {*WORDS.values(), *TALLIED}:
        _want(record[name], str, name)
        record[name].encode()  # half a surrogate pair cannot stand in a table
    _want(record["members"], list, "members")
    _want(record["demonstrations"], list, "demonstrations")
    for shot in (*record["demonstrations"], record["query"]):
        _check_shot(shot)


def _check_shot(shot: Any) -> None:
    _want(shot, dict, "a turn")
    for name, kind in (("role", str), ("question", str), ("answer", str), ("images", list)):
        _want(shot[name], kind, name)
    similarity = shot["similarity"]
    if similarity is not None and not (_number(similarity) and abs(similarity) < MOST):  # fits a float32, also in sums
        raise ValueError("similarity is not a number")
    for image in shot["images"]:
        _want(image, dict, "an image")
        if not all(_number(image[side]) and isinstance(image[side], int) and 0 < image[side] < MOST for side in _SIDES):
            raise ValueError("the size of an image")


_SIDES = ("width", "height")


def _want(value: Any, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{what} is a {type(value).__name__}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def coherence(shots: Sequence[dict[str, Any]]) -> float | None:
    """Mean similarity of the demonstrations to the query; None where none is known."""
    known = [float(shot["similarity"]) for shot in shots if shot["similarity"] is not None]
    return math.fsum(known) / len(known) if known else None


def hardness(shots: Sequence[dict[str, Any]]) -> float | None:
    """Highest similarity of a negative minus the highest of a positive: above 0 a demonstration of another
    label looks most like the query. None where one of the two is unknown."""
    negative, positive = (_highest(shots, role) for role in ("negative", "positive"))
    return None if negative is None or positive is None else negative - positive


def _highest(shots: Sequence[dict[str, Any]], role: str) -> float | None:
    known = (float(s["similarity"]) for s in shots if s["role"] == role and s["similarity"] is not None)
    return max(known, default=None)
