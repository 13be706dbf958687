"""Which classes stand against each other, which pictures are asked about and which demonstrate.

The unit is a block: N classes, one query of each and the demonstrations of all of them. All N questions of a block have
the same demonstrations and the same options, and each class is the right one once. So an answerer that does not look
at the query's picture is right in exactly one of N questions, whatever else it looks at.
"""

from collections import Counter
from dataclasses import dataclass

from curate.benchmarks.material import Material
from curate.benchmarks.settings import ClassBenchSettings
from curate.episodes.dice import Ints


@dataclass(frozen=True)
class Block:
    """N classes that are asked against each other."""

    name: str
    classes: tuple[int, ...]  # [N] class codes
    queries: tuple[int, ...]  # [N] rows, one of each class
    support: tuple[tuple[int, ...], ...]  # [N][K] rows of each class, K the most shots; fewer shots are a beginning of it


@dataclass(frozen=True)
class Classes:
    """The classes of a benchmark."""

    of: Ints  # [N] class of every row, -1 for none
    names: list[str]  # by class
    parents: Ints  # by class: the broader concept, -1 for none


def choose(spec: ClassBenchSettings, material: Material, classes: Classes, seed: int) -> tuple[list[Block], Counter[str]]:
    """The blocks of a benchmark, and why classes were left out. InputError when there is not one block."""
    raise NotImplementedError
