"""Every arrangement of a question: each position of the positive, both orders of the options."""

from collections.abc import Iterator
from dataclasses import dataclass

from curate.benchmarks.choosing import Block


@dataclass(frozen=True)
class Arrangement:
    """One order of a block's demonstrations and options."""

    name: str  # "0+", "0-", "1+", ...: rotation, and whether options stand as drawn or reversed
    turns: tuple[tuple[int, int], ...]  # [N * K] place of the class in the block, and how many of it came before
    options: tuple[tuple[int, ...], ...]  # [N * K + 1][N] order of the options in every turn, the query's last


def arrangements(block: Block, shots: int, seed: int, with_options: bool = True) -> Iterator[Arrangement]:
    """All arrangements at a number of shots of each class. In N rotations every class stands in every position equally
    often; `with_options` gives each rotation twice, with the options of every turn as drawn and reversed."""
    raise NotImplementedError
