"""All mixes on a grid of shares, every simplex with every other and with every choice."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from pipelines.sweep.designs.base import DESIGNS, Kind, Pairing
from pipelines.sweep.designs.geometry import allowed, lattice_points

if TYPE_CHECKING:
    from pipelines.sweep.space import Floats, Simplex


@DESIGNS.register("grid")
class Grid(Kind):
    """Shares are whole multiples of one part, within the bounds."""

    pairing: ClassVar[Pairing] = "product"

    parts: int = Field(default=4, ge=1)
    """Into how many parts the whole is divided: 4 for steps of a quarter."""

    def points(self, simplex: "Simplex", seed: int, count: int) -> "Floats":
        """[n, components]."""
        return np.ascontiguousarray(allowed(simplex, lattice_points(len(simplex.components), self.parts, simplex.axis)))
