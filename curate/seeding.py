"""Randomness derived from (seed, stage, item id) and never from call order."""

import hashlib

import numpy as np


def seed_of(seed: int, stage: str, item: str) -> int:
    """A 64-bit seed that depends on nothing but its three arguments."""
    digest = hashlib.blake2b(f"{seed}\x1f{stage}\x1f{item}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def rng(seed: int, stage: str, item: str) -> np.random.Generator:
    """A generator for one item of one stage: the same draws on one worker or sixteen."""
    return np.random.Generator(np.random.PCG64(seed_of(seed, stage, item)))
