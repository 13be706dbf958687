"""The simplex centroid design (Scheffé 1963): the even mix of every subset of the components."""

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from curate.errors import ConfigError
from pipelines.sweep.designs.base import DESIGNS, MOST, Kind
from pipelines.sweep.designs.geometry import allowed, stretched

if TYPE_CHECKING:
    from pipelines.sweep.space import Floats, Simplex


@DESIGNS.register("centroid")
class Centroid(Kind):
    """Laid between the lower bounds; points above an upper bound are left out."""

    most: int | None = Field(default=None, gt=0)
    """Components of a mix at most, besides the mix of all; none takes all 2^m - 1 subsets."""

    def points(self, simplex: "Simplex", seed: int, count: int) -> "Floats":
        """[n, components], singles first, then pairs, …"""
        parts = len(simplex.components)
        sizes = [size for size in range(1, parts + 1) if size <= (self.most or parts) or size == parts]
        subsets: list[tuple[int, ...]] = []
        for size in sizes:
            subsets += combinations(range(parts), size)
            if len(subsets) > MOST:
                raise ConfigError(
                    f"{simplex.axis} has {parts} components, too many for all subsets; give design centroid a `most`"
                )
        points = np.zeros((len(subsets), parts))
        for row, chosen in zip(points, subsets, strict=True):
            row[list(chosen)] = 1 / len(chosen)
        return allowed(simplex, stretched(simplex, points))
