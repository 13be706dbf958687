"""Small sets of cells for the tests of the mixture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from curate.mixture.axes import grouped
from curate.mixture.cells import Cells, Floats, Ints, Mask
from curate.mixture.quotas import Quota, demands
from curate.mixture.solver import Mix, ShareRow, solve

FORMATS, SHOTS, SOURCES = ("caption", "open_qa", "multiple_choice"), ("0", "1", "2"), ("web", "emoji")


def group(columns: dict[str, Any], units: Floats, repeats: Ints, fixed: Mask | None = None) -> tuple[Cells, Ints]:
    """Cells of samples whose values are given as words, and [S] the cell of each."""
    coded = {}
    for axis, column in columns.items():
        names, codes = np.unique(np.asarray(column, dtype=str), return_inverse=True)
        coded[axis] = codes.astype(np.int64), [str(name) for name in names]
    return grouped(coded, units, repeats, np.zeros(len(units), dtype=bool) if fixed is None else fixed)


def cells_of(
    axes: Sequence[str], table: Sequence[tuple[Any, ...]], repeats: int = 1, units: float = 1.0, full_replay: bool = False
) -> Cells:
    """Cells from rows of (value on each axis ..., number of samples)."""
    numbers = [int(row[-1]) for row in table]
    columns = {axis: np.repeat([str(row[i]) for row in table], numbers) for i, axis in enumerate(axes)}
    samples = sum(numbers)
    fixed = columns["replay"] == "yes" if full_replay else None
    return group(columns, np.full(samples, units), np.full(samples, repeats, dtype=np.int64), fixed)[0]


def grid(numbers: Sequence[int], repeats: int = 1) -> Cells:
    """3 formats x 3 shots x 2 sources with `numbers` [18] of samples."""
    keys = [(f, s, o) for f in FORMATS for s in SHOTS for o in SOURCES]
    return cells_of(("format", "shots", "source"), [(*key, n) for key, n in zip(keys, numbers, strict=True)], repeats)


@st.composite
def grids(draw: st.DrawFn, most: int = 300) -> Cells:
    """Grids of any numbers of samples, some cells empty."""
    number = st.one_of(st.just(0), st.integers(1, most))
    numbers = draw(st.lists(number, min_size=18, max_size=18).filter(lambda ns: sum(ns) >= 5))
    return grid(numbers, draw(st.integers(1, 3)))


def mixed(cells: Cells, quotas: Sequence[dict[str, Any]], size: float | None, tolerance: float = 0.5, **more: Any) -> Mix:
    """The mix that quotas, written as in a spec, make of cells."""
    return solve(cells, demands(cells, [Quota.model_validate(quota) for quota in quotas], **more), size, tolerance)


def row(mix: Mix, axis: str, value: str) -> ShareRow:
    """The first row of a value on an axis."""
    return next(row for row in mix.rows if (row.axis, row.value) == (axis, value))


def shares_of(cells: Cells, amounts: "np.typing.NDArray[Any]", axis: str) -> dict[str, float]:
    """value -> share of amounts [C]."""
    held = np.bincount(cells.axes[axis], amounts, len(cells.values[axis]))
    return dict(zip(cells.values[axis], (held / held.sum()).tolist(), strict=True))
