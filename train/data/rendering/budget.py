"""Which demonstrations stay when an episode has too many tokens or pictures. The query always stays, whole."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from curate.seeding import rng
from train.data.rendering.settings import RenderSettings
from train.data.rendering.turns import Turn

T = TypeVar("T")


def dropping_order(demonstrations: Sequence[Turn], settings: RenderSettings, episode: str) -> list[int]:
    """Places of demonstrations, the one that goes first in front. Of equally near ones the earlier goes first;
    one whose similarity is not stated counts as the farthest."""
    places = list(range(len(demonstrations)))
    if settings.drop == "random":
        return [int(place) for place in rng(settings.seed, "render.drop", episode).permutation(len(places))]
    if settings.drop in ("first", "last"):
        return places if settings.drop == "first" else places[::-1]
    sign = 1 if settings.drop == "farthest" else -1
    return sorted(places, key=lambda place: (sign * demonstrations[place].similarity, place))


def fitted(order: Sequence[int], attempt: Callable[[tuple[int, ...]], T | None]) -> T | None:
    """What `attempt` makes of the most demonstrations that fit, or None. It is asked with the places that stay,
    in order, and answers None when they are too many; fewer are never too many when more are not."""
    best = attempt(_without(order, 0))
    if best is not None or not order:
        return best
    failing, fitting = 0, len(order)  # how many are dropped
    best = attempt(_without(order, fitting))
    while best is not None and fitting - failing > 1:
        middle = (failing + fitting) // 2
        found = attempt(_without(order, middle))
        if found is None:
            failing = middle
        else:
            fitting, best = middle, found
    return best


def _without(order: Sequence[int], dropped: int) -> tuple[int, ...]:
    return tuple(sorted(order[dropped:]))
