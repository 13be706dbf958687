"""In which order the demonstrations of an episode stand; one function and one line an order."""

from collections.abc import Callable

import numpy as np

from curate.episodes.dice import Dice, Floats, Ints
from curate.registry import Registry

Order = Callable[[Floats, Dice], Ints]
"""Permutations [Q, T] of candidates with similarities [Q, T]; ties and unknown similarities keep their order."""

ORDERS: Registry[Order] = Registry("order")


@ORDERS.register("random")
def at_random(similarity: Floats, dice: Dice) -> Ints:
    """A random order for each query."""
    return dice.orders("order", similarity.shape[1])


@ORDERS.register("similar_last")
def similar_last(similarity: Floats, dice: Dice) -> Ints:
    """The most similar demonstration next to the query."""
    return np.argsort(np.nan_to_num(similarity), axis=1, kind="stable")


@ORDERS.register("similar_first")
def similar_first(similarity: Floats, dice: Dice) -> Ints:
    """The most similar demonstration first."""
    return np.argsort(-np.nan_to_num(similarity), axis=1, kind="stable")
