"""Points of a bounded simplex: { x : sum x = 1, low <= x <= high }."""

from collections.abc import Iterator
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from curate.errors import ConfigError
from pipelines.sweep.designs.base import MOST
from pipelines.sweep.space import EXACT

if TYPE_CHECKING:
    from pipelines.sweep.space import Floats, Simplex

HALVINGS = 200


def allowed(simplex: "Simplex", points: "Floats") -> "Floats":
    """Those of [n, components] that lie within the bounds."""
    within = (points >= np.array(simplex.low) - EXACT) & (points <= np.array(simplex.high) + EXACT)
    return points[within.all(axis=1)]


def nearest(simplex: "Simplex", point: "Floats") -> "Floats":
    """The allowed point with the least Euclidean distance: clip(point - t) with the t that makes it sum to one."""
    low, high = np.array(simplex.low), np.array(simplex.high)
    if abs(point.sum() - 1) <= EXACT and len(allowed(simplex, point[None])):
        return point
    below, above = float((point - high).min()) - 1, float((point - low).max()) + 1
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        if np.clip(point - middle, low, high).sum() > 1:
            below = middle
        else:
            above = middle
    return exact(np.clip(point - (below + above) / 2, low, high), low, high)


def exact(point: "Floats", low: "Floats", high: "Floats") -> "Floats":
    """The point with what its sum lacks added where there is most room."""
    lacks = 1 - point.sum()
    room = high - point if lacks > 0 else point - low
    moved = point.copy()
    moved[int(np.argmax(room))] += lacks
    return moved


def with_share(simplex: "Simplex", component: int, share: float) -> "Floats":
    """The prior with one share set, the others in their proportion to each other; alike where the prior has none of them."""
    prior = np.array(simplex.prior)
    others = np.where(np.arange(len(prior)) == component, 0.0, prior)
    if not others.sum() > 0:
        others = (np.arange(len(prior)) != component).astype(np.float64)
    point: Floats = others / others.sum() * (1 - share)
    point[component] = share
    return point


def compositions(parts: int, total: int) -> Iterator[tuple[int, ...]]:
    """All ways to write `total` as `parts` whole numbers of 0 or more, in order."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in compositions(parts - 1, total - first):
            yield (first, *rest)


def lattice_points(parts: int, total: int, axis: str) -> "Floats":
    """[n, parts] the {parts, total} lattice; ConfigError where that is too many."""
    count = comb(total + parts - 1, parts - 1)
    if count > MOST:
        raise ConfigError(f"{count:,} points of {axis} are too many for a grid or lattice; take a coarser one, or dirichlet")
    return np.array(list(compositions(parts, total)), dtype=np.float64) / total


def stretched(simplex: "Simplex", points: "Floats") -> "Floats":
    """Points of the plain simplex laid into the one above the lower bounds (L-pseudo-components, Kurotori 1966)."""
    low = np.array(simplex.low)
    laid: Floats = low + (1 - low.sum()) * points
    return laid
