"""`document`: what stands before the query in its own document, for training on mined interleaved pages."""

import numpy as np

from curate.episodes.dice import Ints, Mask
from curate.episodes.selectors import SELECTORS
from curate.episodes.stock import Scene, Stock


class InDocument:
    """The nearest earlier demonstrations of the query's document and task. Every demonstration with enough earlier ones is a
    query; a document's last one is one of them."""

    by_similarity = False
    within_document = True

    def accepts(self, stock: Stock, shots: int) -> Mask:
        """Queries with a known place and at least `shots` before it."""
        return stock.usable & (stock.reading.earlier >= shots)

    def rank(self, scene: Scene, count: int) -> Ints:
        """Earlier rows, the nearest first."""
        reading, back = scene.stock.reading, np.arange(1, count + 1)
        at = reading.at[scene.queries][:, None] - back
        there = back <= reading.earlier[scene.queries][:, None]
        return np.where(there, reading.rows[np.maximum(at, 0)], -1) if len(reading.rows) else np.full(at.shape, -1)

    def concepts(self, scene: Scene, count: int) -> Ints:
        """None: a page about one thing has no distractors, and such plans are refused."""
        return np.full((len(scene.queries), count), -1, dtype=np.int64)

    def members(self, scene: Scene, concepts: Ints, count: int) -> Ints:
        """None."""
        return np.full((*concepts.shape, count), -1, dtype=np.int64)


SELECTORS.register("document")(InDocument())
