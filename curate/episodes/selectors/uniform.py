"""`random`: demonstrations and distractors drawn uniformly, the baseline every other selector is held against."""

import numpy as np

from curate.episodes.dice import Ints, Mask
from curate.episodes.selectors import SELECTORS
from curate.episodes.stock import Scene, Stock, some_of


class Uniform:
    """Random demonstrations of the query's task; distractor concepts as often as they occur in the pool."""

    by_similarity = False
    within_document = False

    def accepts(self, stock: Stock, shots: int) -> Mask:
        """Every query."""
        return stock.usable

    def rank(self, scene: Scene, count: int) -> Ints:
        """Random rows of the query's task."""
        return some_of(scene.stock.by_task, scene.pool.tasks[scene.queries], count, scene.dice, "rank")

    def concepts(self, scene: Scene, count: int) -> Ints:
        """Concepts of random rows: a frequent concept is a frequent distractor, as it is a frequent answer."""
        rows = some_of(scene.stock.by_task, scene.pool.tasks[scene.queries], 3 * count, scene.dice, "concepts")
        return np.where(rows >= 0, scene.pool.concepts[rows], -1)

    def members(self, scene: Scene, concepts: Ints, count: int) -> Ints:
        """Random rows of each concept."""
        return some_of(scene.stock.by_concept, concepts, count, scene.dice, "members")


SELECTORS.register("random")(Uniform())
