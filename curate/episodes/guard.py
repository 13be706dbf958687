"""Which demonstrations an episode must not hold, as masks over arrays of candidates.

The guard comes after every selector. `allow` holds candidates against their query; `pick` takes the best
of them that also do not repeat one another. Both count what they refuse, rule by rule.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from curate.episodes.dice import Bits, Floats, Ints, Mask
from curate.episodes.pool import Pool
from curate.episodes.settings import GuardSettings

RULES = ("itself", "exact_image", "perceptual_hash", "cosine", "document", "source", "twice")


@dataclass
class Guard:
    """The rules over one pool, and how many candidates each has refused (the first rule that applies counts)."""

    pool: Pool
    settings: GuardSettings
    refused: Counter[str] = field(default_factory=Counter)
    considered: int = 0

    def allow(self, queries: Ints, candidates: Ints, similarity: Floats, within_document: bool = False) -> Mask:
        """Which candidates [Q, C] (-1 for none) may stand with their query [Q]. `within_document`: the query's own document
        is what was asked for, so its rule alone does not hold."""
        allowed = np.asarray(candidates >= 0)
        self.considered += int(allowed.sum())
        for rule, broken in self._against_query(queries, candidates, similarity).items():
            if rule == "document" and within_document:
                continue
            self.refused[rule] += int((allowed & broken).sum())
            allowed &= ~broken
        return allowed

    def _against_query(self, queries: Ints, candidates: Ints, similarity: Floats) -> dict[str, Mask]:
        pool, rules, mine = self.pool, self.settings, queries[:, None]
        broken: dict[str, Mask] = {}
        if rules.itself:
            broken["itself"] = candidates == mine
        if rules.exact_image:
            broken["exact_image"] = shares_image(pool.images[mine], pool.images[candidates])
        if rules.perceptual_bits is not None:
            broken["perceptual_hash"] = self._look_alike(mine, candidates, rules.perceptual_bits)
        if rules.cosine is not None:
            broken["cosine"] = similarity > rules.cosine
        if rules.document:
            mine_from = pool.documents[mine]
            broken["document"] = (pool.documents[candidates] == mine_from) & (mine_from >= 0)
        if rules.source:
            broken["source"] = pool.sources[candidates] == pool.sources[mine]
        return broken

    def _look_alike(self, one: Ints, other: Ints, bits: int) -> Mask:
        pool = self.pool
        here, there = pool.images[one] >= 0, pool.images[other] >= 0
        return near_hashes(pool.hashes[one], here, pool.hashes[other], there, bits)

    def repeats(self, taken: Ints) -> Mask:
        """[Q, T]: which of the rows `taken` [Q, T] repeats one before it that does not itself repeat one."""
        alike = self._alike(taken)
        repeats = np.zeros(taken.shape, dtype=bool)
        if alike.any():
            for at in range(1, taken.shape[1]):
                repeats[:, at] = np.any(alike[:, at, :at] & ~repeats[:, :at], axis=1)
        return repeats

    def _alike(self, taken: Ints) -> Mask:
        """[Q, T, T] which pairs are the same record or, with the rule `twice`, show the same image; not the diagonal."""
        pool, rules = self.pool, self.settings
        one, other = taken[:, :, None], taken[:, None, :]
        alike = np.asarray(one == other)
        if rules.twice and rules.exact_image:
            alike |= shares_image(pool.images[one], pool.images[other])
        if rules.twice and rules.perceptual_bits is not None:
            alike |= self._look_alike(one, other, rules.perceptual_bits)
        if rules.twice and rules.cosine is not None and pool.vectors is not None:
            alike |= pool.similarity_within(taken) > rules.cosine
        return alike & ~np.eye(taken.shape[1], dtype=bool)


def shares_image(one: Ints, other: Ints) -> Mask:
    """Whether two sets of image codes [..., M] have one in common; leading shapes broadcast."""
    if one.shape[-1] == 1:
        return np.asarray((one == other)[..., 0] & (one >= 0)[..., 0])
    same = one[..., :, None] == other[..., None, :]
    return np.asarray(np.any(same & (one >= 0)[..., :, None], axis=(-1, -2)))


def near_hashes(one: Bits, here: Mask, other: Bits, there: Mask, bits: int) -> Mask:
    """Whether any two hashes [..., M] that are there differ in at most `bits` bits; leading shapes broadcast."""
    if one.shape[-1] == 1:
        near = np.bitwise_count(one[..., 0] ^ other[..., 0]) <= bits
        return np.asarray(near & here[..., 0] & there[..., 0])
    near = np.bitwise_count(one[..., :, None] ^ other[..., None, :]) <= bits
    return np.asarray(np.any(near & here[..., :, None] & there[..., None, :], axis=(-1, -2)))


@dataclass(frozen=True)
class Picked:
    """What `pick` took: for the kept queries their candidates, group by group."""

    kept: Ints  # [K] positions of the queries for which enough was left
    groups: Ints  # [K, 1 + others] which candidate groups were taken, group 0 first
    rows: Ints  # [K, T] demonstrations, group-major, best first within a group
    similarity: Floats  # [K, T]


def pick(guard: Guard, candidates: Ints, similarity: Floats, allowed: Mask, quota: Ints, others: int) -> Picked:
    """Takes the first `quota` [Q, G] allowed candidates [Q, G, C] of group 0 and of the first `others` groups
    that have enough. A candidate that repeats an earlier one is refused and the next in its group moves up;
    a query for which a group runs dry is not kept. The quotas of the groups taken add up to the same T for
    every query."""
    allowed = allowed.copy()
    open_ = np.arange(len(candidates))
    done: list[tuple[Ints, Ints, Ints]] = []  # query positions, groups, flat candidate positions
    while len(open_):
        counts = np.cumsum(allowed[open_], axis=2, dtype=np.int64)
        groups, enough = _groups_with_enough(np.asarray(counts[:, :, -1] >= quota[open_]), others)
        open_, counts, groups = open_[enough], counts[enough], groups[enough]
        if not len(open_):
            break
        where = _first_of_each(allowed[open_], counts, quota[open_], groups)
        taken = np.take_along_axis(candidates[open_].reshape(len(open_), -1), where, axis=1)
        repeats = guard.repeats(taken)
        clean = ~repeats.any(axis=1)
        if clean.any():
            done.append((open_[clean], groups[clean], where[clean]))
        open_, repeats, where = open_[~clean], repeats[~clean], where[~clean]
        query, turn = np.nonzero(repeats)
        allowed.reshape(len(allowed), -1)[open_[query], where[query, turn]] = False
        guard.refused["twice"] += len(query)
    return _gathered(done, candidates, similarity, others)


def _groups_with_enough(enough: Mask, others: int) -> tuple[Ints, Mask]:
    """Group 0 and the first `others` further groups with enough, [Q, 1 + others], and whether there are as many."""
    further = np.argsort(~enough[:, 1:], axis=1, kind="stable")[:, :others] + 1
    groups = np.concatenate([np.zeros((len(enough), 1), dtype=np.int64), further], axis=1)
    return groups, np.asarray(enough[:, 0] & (enough[:, 1:].sum(axis=1) >= others))


def _first_of_each(allowed: Mask, counts: Ints, quota: Ints, groups: Ints) -> Ints:
    """Flat positions [Q, T] in [G * C] of the first allowed candidates, the groups in the order given."""
    queries, _, width = allowed.shape
    pick_groups = groups[:, :, None]
    taken = np.take_along_axis(allowed & (counts <= quota[:, :, None]), pick_groups, axis=1)
    query, at, column = np.nonzero(taken)
    return np.asarray((groups[query, at] * width + column).reshape(queries, len(query) // queries))


def _gathered(done: list[tuple[Ints, Ints, Ints]], candidates: Ints, similarity: Floats, others: int) -> Picked:
    if not done:
        none = np.zeros((0, 0), dtype=np.int64)
        return Picked(np.zeros(0, dtype=np.int64), np.zeros((0, 1 + others), dtype=np.int64), none, none.astype(np.float32))
    kept, groups, where = (np.concatenate(parts) for parts in zip(*done, strict=True))
    order = np.argsort(kept, kind="stable")
    kept, groups, where = kept[order], groups[order], where[order]
    flat = candidates[kept].reshape(len(kept), -1), similarity[kept].reshape(len(kept), -1)
    return Picked(kept, groups, *(np.take_along_axis(array, where, axis=1) for array in flat))
