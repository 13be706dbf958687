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

    within_document: bool
    """Candidates are from the query's own document, by design: the guard's `document` rule does not hold for them, and the
    linter counts them as asked for."""

    def accepts(self, stock: Stock, shots: int) -> Mask:
        """[N] the queries it can serve with so many demonstrations, as far as is known before the guard."""

    def rank(self, scene: Scene, count: int) -> Ints:
        """Demonstrations whatever their label, [Q, C], best first, -1 for none."""

    def concepts(self, scene: Scene, count: int) -> Ints:
        """Other concepts to tell the query's from, [Q, count or more], best first, may repeat, -1 for none."""

    def members(self, scene: Scene, concepts: Ints, count: int) -> Ints:
        """Demonstrations of each concept in [Q, W], [Q, W, C], best first, -1 for none."""


SELECTORS: Registry[Selector] = Registry("selector")

from curate.episodes.selectors import concept, document, rices, uniform  # noqa: E402, F401
