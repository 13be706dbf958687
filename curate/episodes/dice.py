"""Random numbers for many episodes at once, each from its own (seed, stage, item) and nothing else.

A NumPy generator for every query would cost more than building its episode. Here the 64-bit seed of each
item (curate.seeding.seed_of) is the start of a SplitMix64 stream (Steele, Lea and Flood, OOPSLA 2014),
and whole arrays are drawn by counter: a row's numbers do not depend on which other rows are in the batch.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from curate.seeding import seed_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Bits = NDArray[np.uint64]
Mask = NDArray[np.bool_]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@lru_cache(maxsize=256)
def _salt(label: str) -> np.uint64:
    return np.uint64(seed_of(0, "dice", label))


def _mixed(x: Bits) -> Bits:
    """SplitMix64's finaliser, in place on a fresh array."""
    x ^= x >> np.uint64(30)
    x *= _FIRST
    x ^= x >> np.uint64(27)
    x *= _SECOND
    x ^= x >> np.uint64(31)
    return x


class Dice:
    """One stream for each of Q items; a `label` names the purpose, so that draws never share numbers."""

    def __init__(self, keys: Bits) -> None:
        self.keys = keys  # [Q]

    @classmethod
    def of(cls, seed: int, stage: str, items: Sequence[str]) -> "Dice":
        """The dice of named items."""
        return cls(np.array([seed_of(seed, stage, item) for item in items], dtype=np.uint64))

    def at(self, rows: Ints | Mask) -> "Dice":
        """The dice of some of the items."""
        return Dice(self.keys[rows])

    def bits(self, label: str, *shape: int) -> Bits:
        """Uniform 64-bit numbers [Q, *shape]."""
        counters = np.arange(1, prod(shape) + 1, dtype=np.uint64) * _GOLDEN
        drawn = _mixed((self.keys ^ _salt(label))[:, None] + counters[None, :])
        return drawn.reshape(len(self.keys), *shape)

    def uniform(self, label: str, *shape: int) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1), [Q, *shape]."""
        return np.asarray((self.bits(label, *shape) >> np.uint64(11)) * 2.0**-53, dtype=np.float64)

    def below(self, label: str, high: int | Ints, *shape: int) -> Ints:
        """Uniform integers in [0, high), [Q, *shape]; the bias of the modulo is below high / 2**64."""
        limit = np.asarray(high).astype(np.uint64)
        return (self.bits(label, *shape) % limit).astype(np.int64)

    def orders(self, label: str, *shape: int) -> Ints:
        """Random permutations of the last axis, [Q, *shape]."""
        return np.argsort(self.bits(label, *shape), axis=-1, kind="stable")
