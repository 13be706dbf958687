"""`concept`: semantically coherent demonstrations, as in the ICL-tuning paper (arXiv 2403.12736)."""

import numpy as np

from curate.episodes.dice import Ints, Mask
from curate.episodes.selectors import SELECTORS
from curate.episodes.stock import Scene, Stock, some_of


class Concept:
    """Random demonstrations of the query's concept, then of the next broader one; distractors are its siblings."""

    by_similarity = False
    within_document = False

    def accepts(self, stock: Stock, shots: int) -> Mask:
        """Queries that bear a concept."""
        return stock.usable & (stock.pool.concepts >= 0)

    def rank(self, scene: Scene, count: int) -> Ints:
        """Rows that share the concept, then rows that share the broader one."""
        stock, pool, rows = scene.stock, scene.pool, scene.queries
        same = some_of(stock.by_concept, pool.concepts[rows], count, scene.dice, "same")
        wider = some_of(stock.by_broader, pool.broader[rows], count, scene.dice, "wider")
        return np.concatenate([same, wider], axis=1)

    def concepts(self, scene: Scene, count: int) -> Ints:
        """Concepts under the same broader one, then any of the task."""
        stock, pool, rows = scene.stock, scene.pool, scene.queries
        near = some_of(stock.siblings, pool.broader[rows], 2 * count, scene.dice, "siblings")
        far = some_of(stock.by_task, pool.tasks[rows], 3 * count, scene.dice, "concepts")
        return np.concatenate([near, np.where(far >= 0, pool.concepts[far], -1)], axis=1)

    def members(self, scene: Scene, concepts: Ints, count: int) -> Ints:
        """Random rows of each concept."""
        return some_of(scene.stock.by_concept, concepts, count, scene.dice, "members")


SELECTORS.register("concept")(Concept())
