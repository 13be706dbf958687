"""An item under a condition as the question that a reader is asked."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

from curate.benches import Bench, Item
from curate.schema import Image, Shot
from train.evaluate.controls import Strangers, demonstrations_under
from train.evaluate.records import Ask, Picture, Turn

PICTURES = 256
"""Pictures whose bytes are kept; those of a group recur in its arrangements."""


class Asking:
    """Makes questions out of the items of one benchmark."""

    def __init__(self, bench: Bench, seed: int = 0) -> None:
        self._bench, self._seed = bench, seed
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    @cached_property
    def _strangers(self) -> Strangers:
        return Strangers(self._bench)

    def ask(self, item: Item, condition: str, choices: bool) -> Ask:
        """The question; its choices only where `choices` says that a likelihood is wanted of each."""
        shots = demonstrations_under(condition, item, self._strangers, self._seed)
        query = self._turn(item.episode.query, told=False)
        return Ask(item.id, tuple(map(self._turn, shots)), query, item.choices if choices else ())

    def _turn(self, shot: Shot, told: bool = True) -> Turn:
        return Turn(self._pictures(shot.images), shot.question, shot.answer if told else "")

    def _pictures(self, images: Sequence[Image]) -> tuple[Picture, ...]:
        return tuple(Picture(image.ref, self._bytes(image.ref), image.width, image.height) for image in images)

    def _bytes(self, ref: str) -> bytes:
        """Stored bytes of a picture, those used last at hand."""
        data = self._kept.pop(ref, None) or self._bench.picture(ref)
        self._kept[ref] = data
        if len(self._kept) > PICTURES:
            self._kept.popitem(last=False)
        return data
