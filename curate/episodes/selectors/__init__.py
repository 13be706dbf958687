"""Who stands beside a query: one file a selector, one line here.

A selector ranks candidates; what an episode must not hold is the guard's matter, how many of each label
the format's. Every method is vectorised over the Q queries of a `Scene`.
"""

from typing import Protocol

from curate.episodes.dice import Ints, Mask
from curate.episodes.stock import Scene, Stock
from curate.registry import Registry


class Selector(Protocol):
    """Ranks candidates for queries."""

    by_similarity: bool
    """Candidates are sorted by their cosine to the query, most similar first."""

    def accepts(self, stock: Stock) -> Mask:
        """[N] the queries it can serve."""

    def rank(self, scene: Scene, count: int) -> Ints:
        """Demonstrations whatever their label, [Q, C], best first, -1 for none."""

    def concepts(self, scene: Scene, count: int) -> Ints:
        """Other concepts to tell the query's from, [Q, count or more], best first, may repeat, -1 for none."""

    def members(self, scene: Scene, concepts: Ints, count: int) -> Ints:
        """Demonstrations of each concept in [Q, W], [Q, W, C], best first, -1 for none."""


SELECTORS: Registry[Selector] = Registry("selector")

from curate.episodes.selectors import concept, rices, uniform  # noqa: E402, F401
