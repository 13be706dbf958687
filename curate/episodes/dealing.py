"""Distractors are dealt from the queries' own concepts, so that no label is right more often than another.

If distractors simply were the concepts that look most alike, frequent concepts would be the answer more often than
they are a distractor, and "take the option that is mostly right" would beat chance without a look at the
picture. Here each round deals every concept out as a distractor exactly as often as it is an answer among the
queries at hand; who gets which is the assignment with the best ranks in the selector's own list.
"""

import numpy as np
from numpy.typing import NDArray

from curate.episodes.dice import Dice, Ints
from curate.episodes.pool import Pool

BLOCK = 512
"""Queries dealt to together; an assignment takes cubic time."""
_FORBIDDEN = 1e6
_UNLISTED = 1e3


def deal(pool: Pool, own: Ints, offered: Ints, rounds: int, dice: Dice) -> Ints:
    """Distractors [Q, rounds] for queries of concepts `own` [Q], as near the front of `offered` [Q, C] as can be;
    -1 where only concepts that are related to the query's or to another distractor are left."""
    blocks = [slice(start, start + BLOCK) for start in range(0, len(own), BLOCK)]
    dealt = [_dealt(pool, own[b], offered[b], rounds, Dice(dice.keys[b])) for b in blocks]
    return np.concatenate([np.zeros((0, rounds), dtype=np.int64), *dealt])


def _dealt(pool: Pool, own: Ints, offered: Ints, rounds: int, dice: Dice) -> Ints:
    from scipy.optimize import linear_sum_assignment

    known, column = np.unique(own, return_inverse=True)
    ranks = _ranks(known, offered) + dice.uniform("dealing", len(known))
    hands = own[:, None]
    for _ in range(rounds):
        barred = pool.are_related(hands[:, :, None], known) | pool.are_related(known, hands[:, :, None])
        cost = np.where(barred.any(axis=1), _FORBIDDEN, ranks)[:, column]
        query, card = linear_sum_assignment(cost)
        got = np.where(cost[query, card] < _FORBIDDEN, own[card], -1)
        hands = np.concatenate([hands, got[:, None]], axis=1)
    return hands[:, 1:]


def _ranks(known: Ints, offered: Ints) -> NDArray[np.float64]:
    """[Q, U] where each query's list first names each concept."""
    ranks = np.full((len(offered), len(known)), _UNLISTED)
    rows = np.arange(len(offered))
    for place in range(offered.shape[1] - 1, -1, -1):
        named = offered[:, place]
        at = np.minimum(np.searchsorted(known, named), len(known) - 1)
        hit = known[at] == named
        ranks[rows[hit], at[hit]] = place
    return ranks
