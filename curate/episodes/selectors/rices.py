"""`rices`: retrieval by image-image similarity (RICES, Yang et al., arXiv 2109.05014)."""

import numpy as np

from curate.episodes.dice import Ints, Mask
from curate.episodes.selectors import SELECTORS
from curate.episodes.stock import Scene, Stock, some_of


class Rices:
    """The query's nearest neighbours; distractors are the concepts that look most alike."""

    by_similarity = True
    within_document = False

    def accepts(self, stock: Stock, shots: int) -> Mask:
        """Queries with a vector."""
        return stock.usable & (stock.pool.vectors is not None)

    def rank(self, scene: Scene, count: int) -> Ints:
        """All usable neighbours, then some of the query's task at random: where labels are balanced, a query whose
        neighbours all have its answer still finds others."""
        far = some_of(scene.stock.by_task, scene.pool.tasks[scene.queries], 2 * count, scene.dice, "rank")
        return np.concatenate([scene.nearest(), far], axis=1)

    def concepts(self, scene: Scene, count: int) -> Ints:
        """Concepts of the neighbours, nearest first, then some at random for the sake of thin neighbourhoods."""
        near = scene.nearest()
        far = some_of(scene.stock.by_task, scene.pool.tasks[scene.queries], 2 * count, scene.dice, "concepts")
        rows = np.concatenate([near, far], axis=1)
        return np.where(rows >= 0, scene.pool.concepts[rows], -1)

    def members(self, scene: Scene, concepts: Ints, count: int) -> Ints:
        """The concept's rows among the neighbours, and a sample of its others for when those are too few."""
        near = scene.nearest()[:, None, :]  # [Q, 1, k]
        theirs = (scene.pool.concepts[near] == concepts[:, :, None]) & (near >= 0)
        first = np.argsort(~theirs, axis=2, kind="stable")[:, :, :count]
        found = np.where(np.take_along_axis(theirs, first, axis=2), np.take_along_axis(near, first, axis=2), -1)
        return np.concatenate([found, some_of(scene.stock.by_concept, concepts, count, scene.dice, "members")], axis=2)


SELECTORS.register("rices")(Rices())
