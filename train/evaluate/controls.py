"""Conditions: what a model sees of an item, as asked or with something taken away.

A control keeps everything but one: `none` the demonstrations, `text` their pictures, `shuffled` which answer belongs to which,
`swapped` what their pictures show. A model that learns from its demonstrations scores chance under each; what it scores there
comes from elsewhere. Choices and query are never touched. All arrangements of a group are changed alike: a demonstration keeps
its exchanged answer, or its replaced pictures, wherever it stands.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from curate.benches import Bench, Item
from curate.registry import Registry
from curate.schema import Image, Shot
from curate.seeding import rng

Control = Callable[[Item, "Strangers", int], tuple[Shot, ...]]
"""The demonstrations that stand for an item's own; the last argument is the seed."""

CONTROLS: Registry[Control] = Registry("condition")

TRIES = 64
"""Strangers that are drawn before all are looked through."""


def demonstrations_under(condition: str, item: Item, strangers: "Strangers", seed: int = 0) -> tuple[Shot, ...]:
    """The demonstrations of an item as a condition has them; ConfigError for an unknown condition."""
    return CONTROLS.get(condition)(item, strangers, seed)


def changes(condition: str, item: Item) -> bool:
    """Whether a condition can make a difference to an item."""
    shots = item.episode.demonstrations
    if condition == "shuffled":
        return len({(shot.label, shot.answer) for shot in shots}) > 1
    if condition == "text":
        return any(shot.images for shot in shots)
    return bool(shots)


@CONTROLS.register("full")
def full(item: Item, strangers: "Strangers", seed: int) -> tuple[Shot, ...]:
    """As they are."""
    return item.episode.demonstrations


@CONTROLS.register("none")
def none(item: Item, strangers: "Strangers", seed: int) -> tuple[Shot, ...]:
    """True zero-shot."""
    return ()


@CONTROLS.register("text")
def text(item: Item, strangers: "Strangers", seed: int) -> tuple[Shot, ...]:
    """Their words without their pictures."""
    return tuple(replace(shot, images=()) for shot in item.episode.demonstrations)


@CONTROLS.register("shuffled")
def shuffled(item: Item, strangers: "Strangers", seed: int) -> tuple[Shot, ...]:
    """Their answers exchanged by a random permutation, which may leave some, or all, where they were: as often as chance.

    What is exchanged is the meaning: where demonstrations have options in orders of their own, the letter follows the label.
    """
    shots = item.episode.demonstrations
    order = _by_identity(shots)
    donors = rng(seed, "shuffled", item.group).permutation(len(order))
    changed = list(shots)
    for place, donor in zip(order, donors.tolist(), strict=True):
        changed[place] = _answering_as(shots[place], shots[order[donor]], item.choices)
    return tuple(changed)


@CONTROLS.register("swapped")
def swapped(item: Item, strangers: "Strangers", seed: int) -> tuple[Shot, ...]:
    """Their pictures replaced by those of demonstrations of unrelated concepts elsewhere in the benchmark."""
    shots = item.episode.demonstrations
    changed, taken = list(shots), {image.ref for shot in (*shots, item.episode.query) for image in shot.images}
    related = strangers.related(item)
    dice = rng(seed, "swapped", item.group)
    for place in _by_identity(shots):
        images = strangers.pick(len(shots[place].images), related, taken, dice)
        taken |= {image.ref for image in images}
        changed[place] = replace(shots[place], images=images, similarity=None)
    return tuple(changed)


def _by_identity(shots: Sequence[Shot]) -> list[int]:
    """Places of the demonstrations in an order that does not depend on where they stand."""
    return sorted(
        range(len(shots)), key=lambda at: (shots[at].demonstration_id, [image.ref for image in shots[at].images], at)
    )


def _answering_as(shot: Shot, donor: Shot, choices: Sequence[str]) -> Shot:
    """A demonstration with another's answer."""
    lettered = shot.label in shot.options and len(shot.options) <= len(choices)
    if lettered and choices[shot.options.index(shot.label)] == shot.answer:
        if donor.label in shot.options:
            return replace(shot, label=donor.label, answer=choices[shot.options.index(donor.label)])
        if donor.answer in choices[: len(shot.options)]:
            return replace(shot, label=shot.options[choices.index(donor.answer)], answer=donor.answer)
    return replace(shot, label=donor.label, answer=donor.answer)


class Strangers:
    """The demonstrations of a benchmark, from which those of unrelated concepts can be picked.

    What a picture shows is known by tags: labels that it has anywhere, and the concepts of items that it is the query or a
    positive demonstration of. So pseudo-words, which mean something else in every item, hide nothing.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    @cached_property
    def _tags(self) -> dict[tuple[str, ...], set[str]]:
        """Tags of the pictures of every turn, by their refs."""
        tags: dict[tuple[str, ...], set[str]] = {}
        for item in self._bench.items:
            for shot in (*item.episode.demonstrations, item.episode.query):
                tags.setdefault(_refs(shot), set()).update(_tags_in(item, shot))
        return tags

    @cached_property
    def _pools(self) -> dict[int, list[tuple[Image, ...]]]:
        """Number of pictures -> pictures of demonstrations with so many, each once, in order of their refs."""
        pools: dict[int, dict[tuple[str, ...], tuple[Image, ...]]] = {}
        for item in self._bench.items:
            for shot in item.episode.demonstrations:
                pools.setdefault(len(shot.images), {}).setdefault(_refs(shot), shot.images)
        return {count: [known[refs] for refs in sorted(known)] for count, known in pools.items()}

    def related(self, item: Item) -> list[set[str]]:
        """Tags that pictures in place of the item's must not have: all that is known of it, or at least its labels, or, in a
        benchmark of too few concepts, none."""
        turns = (*item.episode.demonstrations, item.episode.query)
        known = set().union({item.episode.concept}, *(self._tags[_refs(shot)] for shot in turns))
        return [known, {shot.label for shot in turns}, set()]

    def pick(self, count: int, related: Sequence[set[str]], taken: set[str], dice: np.random.Generator) -> tuple[Image, ...]:
        """`count` pictures of one demonstration with no tag of `related`, the first set that leaves any, and no `taken` ref.

        () where the benchmark has no other pictures: a demonstration never keeps its own.
        """
        pool = self._pools.get(count, [])
        if not count or not pool:
            return ()
        drawn: list[int] = dice.integers(0, len(pool), TRIES).tolist()
        order: list[int] = dice.permutation(len(pool)).tolist()
        for places, unwanted in ((drawn, related[0]), *((order, tags) for tags in related)):
            found = next((pool[at] for at in places if self._is_strange(pool[at], unwanted, taken)), None)
            if found is not None:
                return found
        return ()

    def _is_strange(self, images: tuple[Image, ...], unwanted: set[str], taken: set[str]) -> bool:
        refs = tuple(image.ref for image in images)
        return taken.isdisjoint(refs) and unwanted.isdisjoint(self._tags[refs])


def _refs(shot: Shot) -> tuple[str, ...]:
    return tuple(image.ref for image in shot.images)


def _tags_in(item: Item, shot: Shot) -> set[str]:
    """What is known of a turn's pictures from one item."""
    tags = {shot.label} - {""}
    return tags | {item.episode.concept} if shot.role in ("query", "positive") else tags
