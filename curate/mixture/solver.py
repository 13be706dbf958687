"""From demands to draws: how many samples of each cell make the mix that comes nearest to what was asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from curate.mixture.cells import Cells, Ints, Within
from curate.mixture.quotas import Demand


@dataclass(frozen=True)
class ShareRow:
    """One line of the realised-mix table. Shares are 0..1 of the units inside `within`."""

    axis: str
    within: Within
    value: str
    requested: float
    realised: float
    reason: str = ""  # "" within tolerance; else why the data cannot give it, the nearest, and what would cure it


@dataclass(frozen=True)
class Mix:
    """Draws per cell, and what they make of the demands."""

    draws: Ints  # [C]
    rows: list[ShareRow]
    size: float  # units in the plan
    notes: tuple[str, ...] = ()  # about the size: what kept it from being larger, or why the asked one is not reached


def solve(cells: Cells, demands: Sequence[Demand], size: float | None, tolerance: float = 0.5) -> Mix:
    """The mix of `size` units (None: the largest within `tolerance`, in points) nearest to the demands."""
    raise NotImplementedError
