"""Putting what was picked where the design wants it."""

from dataclasses import dataclass

import numpy as np

from curate.episodes.dice import Dice, Floats, Ints, Mask
from curate.episodes.orders import ORDERS, Standing
from curate.episodes.pool import Pool


@dataclass(frozen=True)
class Taken:
    """Picked demonstrations of K queries, best first within their slot."""

    rows: Ints  # [K, T]
    similarity: Floats  # [K, T]
    slots: Ints  # [K, T]

    def only(self, used: Mask, count: int) -> "Taken":
        """Those that are used, `count` for every query."""
        shape = (len(self.rows), count)
        return Taken(self.rows[used].reshape(shape), self.similarity[used].reshape(shape), self.slots[used].reshape(shape))

    def arranged(self, pattern: Ints, order: str, dice: Dice, pool: Pool) -> tuple[Ints, Floats]:
        """Rows and similarities [K, S] so that position j shows slot pattern[j]; within a slot the order decides."""
        turn = ORDERS.get(order)(Standing(self.similarity, pool.places[self.rows]), dice)
        by_slot = np.argsort(np.take_along_axis(self.slots, turn, axis=1), axis=1, kind="stable")
        turn = np.take_along_axis(turn, by_slot, axis=1)
        places = np.argsort(pattern, axis=1, kind="stable")
        rows, similarity = np.empty_like(self.rows), np.empty_like(self.similarity)
        np.put_along_axis(rows, places, np.take_along_axis(self.rows, turn, axis=1), axis=1)
        np.put_along_axis(similarity, places, np.take_along_axis(self.similarity, turn, axis=1), axis=1)
        return rows, similarity


def slots_of_groups(right: Ints, ways: int, dice: Dice) -> Ints:
    """[K, N] the slot of each candidate group: group 0, the query's concept, in `right` [K], the others at random."""
    slots = dice.orders("slots", ways)
    at = np.argmax(slots == right[:, None], axis=1)[:, None]
    np.put_along_axis(slots, at, slots[:, :1].copy(), axis=1)
    slots[:, 0] = right
    return slots


def counts_of_slots(pattern: Ints, ways: int) -> Ints:
    """[K, N] how often each slot stands in pattern [K, S]."""
    return np.asarray((pattern[:, :, None] == np.arange(ways)).sum(axis=1))


def compatible(pool: Pool, own: Ints, offered: Ints, wanted: int) -> Ints:
    """`own` [Q] and the first `wanted` of `offered` [Q, C] that are related neither to it nor to one another,
    [Q, 1 + wanted], -1 where there are fewer."""
    chosen = np.full((len(own), 1 + wanted), -1, dtype=np.int64)
    chosen[:, 0] = own
    filled = np.ones(len(own), dtype=np.int64)
    rows = np.arange(len(own))
    for candidate in offered.T:
        clash = pool.are_related(candidate[:, None], chosen) | pool.are_related(chosen, candidate[:, None])
        take = (candidate >= 0) & (filled <= wanted) & ~clash.any(axis=1)
        chosen[rows[take], filled[take]] = candidate[take]
        filled += take
        if filled.min(initial=wanted + 1) > wanted:
            break
    return chosen
