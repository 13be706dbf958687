"""The {m, q} simplex lattice (Scheffé 1958): all shares 0, 1/q, …, 1 that sum to one."""

from typing import TYPE_CHECKING

from pydantic import Field

from pipelines.sweep.designs.base import DESIGNS, Kind
from pipelines.sweep.designs.geometry import allowed, lattice_points, stretched

if TYPE_CHECKING:
    from pipelines.sweep.space import Floats, Simplex


@DESIGNS.register("lattice")
class Lattice(Kind):
    """Laid between the lower bounds; points above an upper bound are left out."""

    degree: int = Field(default=2, ge=1)
    """q: the parts into which a share is divided."""

    def points(self, simplex: "Simplex", seed: int, count: int) -> "Floats":
        """[n, components]."""
        return allowed(simplex, stretched(simplex, lattice_points(len(simplex.components), self.degree, simplex.axis)))
