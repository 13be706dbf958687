"""In which order an epoch visits a plan: a pure function of (blocks, seed, epoch, position), with no list of it anywhere.

Inside a block the plan's order means nothing, so every epoch shuffles there, each time anew, by a keyed
permutation that is computed place by place: a Feistel network (Luby and Rackoff, 1988) over the smallest
even power of two that holds the block, walked along its cycle until it lands inside (Black and Rogaway,
2002). So any place of any epoch costs the same and needs no memory.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from curate.seeding import seed_of

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

ROUNDS = 6


def permuted(places: Ints, size: int, key: int) -> Ints:
    """Where a permutation of [0, size) chosen by a 64-bit key sends `places`, int64 of the same shape."""
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    out = _encrypted(places.astype(np.uint64), half, key)
    while (outside := out >= size).any():
        out[outside] = _encrypted(out[outside], half, key)
    return out.astype(np.int64)


def _encrypted(values: Words, half: int, key: int) -> Words:
    """One pass through the network over words of 2 x `half` bits."""
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for turn in range(ROUNDS):
        salt = np.uint64((key + turn * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
        left, right = right, left ^ (_mixed(right ^ salt) & mask)
    return (left << bits) | right


def _mixed(words: Words) -> Words:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014); products wrap around."""
    with np.errstate(over="ignore"):
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


class Order:
    """The plan's rows epoch by epoch, in windows of at most `window` rows that never straddle two blocks."""

    def __init__(self, blocks: Sequence[int], seed: int, window: int) -> None:
        assert window > 0, "a window holds at least one row"
        self._ends = np.array(blocks, dtype=np.int64)
        self._seed, self._window = seed, window

    @cached_property
    def _starts(self) -> Ints:
        return np.concatenate([[0], self._ends[:-1]]).astype(np.int64)

    @cached_property
    def _windows_before(self) -> Ints:
        """[blocks + 1] how many windows lie before each block; the last entry counts all."""
        counts = -(-(self._ends - self._starts) // self._window)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @property
    def windows(self) -> int:
        """Windows of one epoch."""
        return int(self._windows_before[-1])

    def rows(self, epoch: int, window: int) -> Ints:
        """Rows of the plan that one window of one epoch visits, in order."""
        block = int(np.searchsorted(self._windows_before, window, side="right")) - 1
        start, end = int(self._starts[block]), int(self._ends[block])
        first, windows = int(self._windows_before[block]), int(np.diff(self._windows_before)[block])
        low, high = (place * (end - start) // windows for place in (window - first, window - first + 1))
        key = seed_of(self._seed, "loader.order", f"{epoch}/{block}")
        return start + permuted(np.arange(low, high), end - start, key)
