"""Which demonstrations a picture is shown with: the same for all (fixed), or those most like it (retrieved)."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from curate.images import open_rgb
from curate.labelled import LabelledSet
from curate.seeding import rng
from curate.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image as Pixels

Select = Literal["fixed", "retrieved"]
Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Pictures to vectors whose inner products say how alike they are; curate.encoders.load_encoder gives one."""

    fingerprint: str  # equal ones, comparable vectors

    def encode_images(self, pictures: "Sequence[Pixels]") -> Vectors:
        """RGB pictures as float32 [B, D] of unit length."""


class SelectSettings(Settings):
    """Which demonstrations a picture is shown with."""

    shots: int = Field(default=4, ge=0)
    """Demonstrations of each label; in all where `balanced` is off."""

    select: Select = "fixed"
    """fixed: the same demonstrations for every picture, chosen by the seed. retrieved: the most similar ones, the most
    similar last."""

    balanced: bool = True
    """As many of every label. Off: those that come first, whatever their labels."""

    ways: int | None = Field(default=None, ge=2)
    """With retrieved and balanced: only the labels whose demonstrations come nearest, so many of them."""

    seed: int = 0
    """Of the choice and order of fixed demonstrations."""


class Fixed:
    """Rounds of demonstrations, one of each label a round, in an order of the seed's."""

    def __init__(self, demos: LabelledSet, settings: SelectSettings, balanced: bool) -> None:
        self._demos, self._count = demos, settings.shots
        dice = rng(settings.seed, "predict.fixed", "")
        order = [int(row) for row in dice.permutation(len(demos.rows))]
        self._order = _rounds(order, demos) if balanced else order
        if balanced:
            self._count *= len(demos.labels)

    def of(self, queries: Sequence[tuple[str, bytes]]) -> list[list[int]]:
        """Rows of the demonstrations of each query (ref, bytes), in order; a picture does not demonstrate itself."""
        raise NotImplementedError


def _rounds(order: list[int], demos: LabelledSet) -> list[int]:
    raise NotImplementedError


class Retrieved:
    """The demonstrations nearest to each query by an encoder, the nearest last."""

    def __init__(self, demos: LabelledSet, settings: SelectSettings, balanced: bool, embedder: Embedder) -> None:
        self._demos, self._settings, self._balanced, self._embedder = demos, settings, balanced, embedder

    def of(self, queries: Sequence[tuple[str, bytes]]) -> list[list[int]]:
        """As Fixed.of."""
        raise NotImplementedError
