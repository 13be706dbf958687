"""Which pairs train, which are held out, and which are dropped because a test caption equals theirs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from curate.encoders.training.sources import Pair, normalise

HELD_OUT = 0.11  # share of concepts, in all their drawing styles
DEVELOPMENT = 0.33  # share of the Tux Paint captions that choices of the recipe may look at


def share_of(kind: str, key: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments: splits survive new data."""
    return int(hashlib.sha256(f"{kind}:{key}".encode()).hexdigest()[:8], 16) / 2**32


@dataclass(frozen=True)
class Split:
    """Row numbers of the pairs, and the normalised captions that training may not see."""

    training: list[int]
    held_out: list[int]
    overlap: list[int]  # left out: their caption is a test caption
    forbidden: frozenset[str]

    def allows(self, caption: str) -> bool:
        """Whether training may read a caption."""
        return normalise(caption) not in self.forbidden


def split_pairs(pairs: Sequence[Pair], test: Sequence[Pair]) -> Split:
    """Holds out whole concepts, and drops pairs whose caption equals one of the test's or of a held-out concept."""
    concepts = {pair.concept for pair in pairs if pair.source != "gimp" and share_of("held", pair.concept) < HELD_OUT}
    held_out = [i for i, pair in enumerate(pairs) if pair.concept in concepts]
    forbidden = frozenset(concepts | {normalise(pair.captions[0]) for pair in test})
    rest = [i for i, pair in enumerate(pairs) if pair.concept not in concepts]
    overlap = [i for i in rest if normalise(pairs[i].captions[0]) in forbidden]
    dropped = set(overlap)
    return Split([i for i in rest if i not in dropped], held_out, overlap, forbidden)


def is_development(caption: str) -> bool:
    """Whether a Tux Paint caption (normalised) belongs to the part that choices may look at."""
    return share_of("dev", caption) < DEVELOPMENT
