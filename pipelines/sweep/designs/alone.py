"""One thing changed at a time from the prior: a component left out, or set to other shares."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from pipelines.sweep.designs.base import DESIGNS, Kind, Pairing
from pipelines.sweep.designs.geometry import allowed, nearest, with_share
from pipelines.sweep.space import EXACT

if TYPE_CHECKING:
    from pipelines.sweep.space import Floats, Simplex


@DESIGNS.register("leave-one-out")
class LeaveOneOut(Kind):
    """Each component at its lower bound (0 unless one is set), the others in the prior's proportions, or as near as may be."""

    pairing: ClassVar[Pairing] = "alone"

    def points(self, simplex: "Simplex", seed: int, count: int) -> "Floats":
        """[n, components], a component that has its lower bound in the prior passed over."""
        changed = [at for at, share in enumerate(simplex.prior) if share > simplex.low[at] + EXACT]
        points = [nearest(simplex, with_share(simplex, at, simplex.low[at])) for at in changed]
        return np.array(points).reshape(len(points), len(simplex.prior))


@DESIGNS.register("one-at-a-time")
class OneAtATime(Kind):
    """Each component at shares from its lower to its upper bound, the others in the prior's proportions; each choice at
    each level."""

    pairing: ClassVar[Pairing] = "alone"

    shares: int = Field(default=2, ge=2)
    """How many shares of a component, bounds included."""

    def points(self, simplex: "Simplex", seed: int, count: int) -> "Floats":
        """[n, components]; shares with which the others cannot keep their proportions within bounds are left out."""
        points = [
            with_share(simplex, at, share)
            for at, (low, high) in enumerate(zip(simplex.low, simplex.high, strict=True))
            for share in np.linspace(low, high, self.shares)
        ]
        return allowed(simplex, np.array(points))
