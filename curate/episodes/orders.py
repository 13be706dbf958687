"""In which order the demonstrations of an episode stand; one function and one line an order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curate.episodes.dice import Dice, Floats, Ints
from curate.registry import Registry


@dataclass(frozen=True)
class Standing:
    """What an order goes by: T demonstrations of Q queries."""

    similarity: Floats  # [Q, T] cosines to the query
    places: Ints  # [Q, T] places in their documents, -1 where unknown


Order = Callable[[Standing, Dice], Ints]
"""Permutations [Q, T] of demonstrations; ties and unknown similarities keep their order."""

ORDERS: Registry[Order] = Registry("order")


@ORDERS.register("random")
def at_random(standing: Standing, dice: Dice) -> Ints:
    """A random order for each query."""
    return dice.orders("order", standing.similarity.shape[1])


@ORDERS.register("similar_last")
def similar_last(standing: Standing, dice: Dice) -> Ints:
    """The most similar demonstration next to the query."""
    return np.argsort(np.nan_to_num(standing.similarity), axis=1, kind="stable")


@ORDERS.register("similar_first")
def similar_first(standing: Standing, dice: Dice) -> Ints:
    """The most similar demonstration first."""
    return np.argsort(-np.nan_to_num(standing.similarity), axis=1, kind="stable")


@ORDERS.register("document")
def as_in_document(standing: Standing, dice: Dice) -> Ints:
    """As they stand in the document; only for demonstrations that are all from one."""
    return np.argsort(standing.places, axis=1, kind="stable")
