"""What samples are grouped by: every axis as codes over names, and samples of equal codes as cells."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from curate.mixture.cells import AXES, FREE, Cells, Floats, Ints, Mask
from curate.mixture.stock import Stock
from curate.shards.plans import BANDS, NAMES

NONE = "none"
"""Name of the value of samples that have none."""

Coded = tuple[Ints, list[str]]
"""[S] code of each sample, and the names by code, sorted."""

Edges = Mapping[str, Sequence[float]]
"""Where the bands of an axis meet."""


def coded(stock: Stock, axis: str, edges: Edges) -> Coded:
    """The values of all samples on an axis."""
    if axis in NAMES:
        return _merged(*stock.words(axis))
    if axis in BANDS:
        return banded(stock.numbers(axis).astype(np.float64), edges[axis])
    if axis == "replay":
        return stock.numbers("replay").astype(np.int64), ["no", "yes"]
    assert axis == "shots", f"{axis} is in AXES and unknown here"
    values, codes = np.unique(stock.numbers("shots"), return_inverse=True)
    return codes.astype(np.int64), [str(value) for value in values]


def all_coded(stock: Stock, edges: Edges) -> dict[str, Coded]:
    """Every axis of AXES."""
    return {axis: coded(stock, axis, edges) for axis in AXES}


def _merged(codes: Ints, words: Sequence[str]) -> Coded:
    """Codes over sorted names; an empty word is called NONE."""
    named = [word or NONE for word in words]
    names = sorted(set(named))
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[name] for name in named], np.int64)[codes], names


def band_edges(stock: Stock, bands: int) -> dict[str, list[float]]:
    """The quantiles that cut coherence and hardness into bands of about equally many samples, unknown ones left out."""
    return {axis: _quantiles(stock.numbers(axis).astype(np.float64), bands) for axis in BANDS}


def _quantiles(values: Floats, bands: int) -> list[float]:
    known = values[~np.isnan(values)]
    found: list[float] = np.quantile(known, np.arange(1, bands) / bands).tolist() if len(known) else [0.0] * (bands - 1)
    return found


def banded(values: Floats, edges: Sequence[float]) -> Coded:
    """A measure cut at `edges`, a value on an edge lying above it; NONE for samples that have none."""
    known = ~np.isnan(values)
    codes = np.full(len(values), len(edges) + 1, np.int64)
    codes[known] = np.searchsorted(np.asarray(edges), values[known], side="right")
    return codes, [*band_names(len(edges) + 1), NONE]


def band_names(bands: int) -> list[str]:
    """low, high; low, mid, high; from four on q1, q2, ..."""
    known = {2: ["low", "high"], 3: ["low", "mid", "high"]}
    return known.get(bands) or [f"q{number + 1}" for number in range(bands)]


def grouped(axes: dict[str, Coded], units: Floats, repeats: Ints, fixed: Mask) -> tuple[Cells, Ints]:
    """Samples as cells, and [S] the cell of each sample; like cells.group, for columns that are coded already.

    `repeats` [S]: how often a sample may be drawn; `fixed` [S]: it is drawn exactly once.
    """
    keys = [(codes, len(names)) for codes, names in axes.values()]
    keys += [(repeats, int(repeats.max(initial=0)) + 1), (fixed.astype(np.int64), 2)]
    _, first, cell, counts = np.unique(combined(keys), return_index=True, return_inverse=True, return_counts=True)
    number = counts.astype(np.int64)
    total = np.bincount(cell, weights=units, minlength=len(number))
    cells = Cells(
        axes={axis: codes[first] for axis, (codes, _) in axes.items()},
        values={axis: list(names) for axis, (_, names) in axes.items()},
        samples=number,
        units=total / np.maximum(number, 1),
        limits=np.where(fixed[first], number, number * repeats[first]),
        exact=np.where(fixed[first], number, FREE) if fixed.any() else None,
    )
    return cells, cell.astype(np.int64)


def combined(keys: Sequence[tuple[Ints, int]]) -> npt.NDArray[np.int64]:
    """[S] one number for equal tuples of (codes, how many there are); re-coded before it could overflow."""
    key, size = np.zeros(len(keys[0][0]), np.int64), 1
    for codes, number in keys:
        if size > 2**62 // max(number, 1):
            values, key = np.unique(key, return_inverse=True)
            key, size = key.astype(np.int64), len(values)
        key, size = key * number + codes, size * max(number, 1)
    return key
