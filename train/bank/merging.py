"""Which small parts become one: a bank that is filled by a few entries at a time would else be thousands of files."""

from collections import defaultdict
from collections.abc import Sequence

from train.bank.index import Index
from train.bank.recency import Kept

MANY = 64
"""Small parts of one aggregator that are let be."""

SMALL = 8
"""A part is small below this share of a part's most."""


def mergeable(index: Index, kept: Sequence[Kept], room: int) -> list[Kept]:
    """Small parts of one aggregator, together at most `room` bytes, in the order of their last use; [] while they are few.

    Neighbours in that order go together, so that the order of eviction stays.
    """
    groups: dict[str, list[Kept]] = defaultdict(list)
    for one in kept:
        if one.name in index.parts and one.size < room // SMALL:
            groups[index.parts[one.name].model].append(one)
    most = max(groups.values(), key=len, default=[])
    return _first(most, room) if len(most) > MANY else []


def _first(kept: Sequence[Kept], room: int) -> list[Kept]:
    chosen, size = [], 0
    for one in kept:
        size += one.size
        if size > room:
            break
        chosen.append(one)
    return chosen
