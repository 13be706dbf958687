"""Cells: samples grouped by their values on the axes that somebody asks about.

All mathematics of the mixture happens on cells, never on samples: two samples with the same values on every
asked axis are interchangeable, so a million samples are often a few hundred unknowns.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate.errors import ConfigError
from curate.registry import nearest

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Within = tuple[tuple[str, str], ...]
"""(axis, value) pairs that all hold; () is the whole plan."""

AXES = (
    "source", "concept_type", "concept", "format", "shots", "selector", "licence", "coherence", "hardness", "replay",
)  # fmt: skip
"""What a sample can be grouped by. `concept_type` is the episode's task; `replay` is yes or no."""

FREE = -1
"""In `Cells.exact`: the number of draws is not fixed."""


@dataclass(frozen=True)
class Cells:
    """Samples grouped by their values on the asked axes. C cells."""

    axes: dict[str, Ints]  # axis -> [C] code of the cell's value
    values: dict[str, list[str]]  # axis -> names of its values by code
    samples: Ints  # [C] available samples
    units: Floats  # [C] mean units of a sample (1.0 when the unit is the sample)
    limits: Ints  # [C] at most this many draws (samples x max_repeats)
    exact: Ints | None = None  # [C] draws that are fixed (full replay), FREE where free

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def fixed(self) -> Mask:
        """[C] true where the number of draws is given beforehand."""
        return np.zeros(len(self), dtype=bool) if self.exact is None else self.exact != FREE

    @property
    def lowest(self) -> Ints:
        """[C] fewest draws: the fixed number, else 0."""
        return np.where(self.fixed, self.exact, 0) if self.exact is not None else np.zeros(len(self), dtype=np.int64)

    @property
    def highest(self) -> Ints:
        """[C] most draws: the fixed number, else the limit."""
        return np.where(self.fixed, self.exact, self.limits) if self.exact is not None else self.limits

    def having(self, axis: str, value: str) -> Mask:
        """[C] true for cells with `value` on `axis`; none when the value does not exist."""
        self.require(axis)
        names = self.values[axis]
        mask: Mask = self.axes[axis] == (names.index(value) if value in names else -1)
        return mask

    def inside(self, within: Within) -> Mask:
        """[C] true for cells that have every value named in `within`."""
        mask = np.ones(len(self), dtype=bool)
        for axis, value in within:
            mask &= self.having(axis, value)
        return mask

    def require(self, axis: str) -> None:
        """ConfigError when the cells are not grouped by `axis`."""
        if axis not in self.axes:
            raise ConfigError(f"there is no axis {axis!r}{nearest(axis, self.axes)}; known: {', '.join(self.axes)}")


def sums_by(codes: Ints, amounts: Floats | Ints, number: int) -> Floats:
    """[number] sums of the amounts that bear each code."""
    return np.bincount(codes, amounts, number).astype(np.float64)


def check_axis(axis: str) -> None:
    """ConfigError, naming the nearest, unless `axis` is one of `AXES`."""
    if axis not in AXES:
        raise ConfigError(f"there is no axis {axis!r}{nearest(axis, AXES)}; known: {', '.join(AXES)}")
