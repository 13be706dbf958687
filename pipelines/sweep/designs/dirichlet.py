"""Random mixes around a mix: Dirichlet(strength x m x p), as far as the bounds allow them."""

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from curate.errors import ConfigError
from curate.seeding import rng
from pipelines.sweep.designs.base import DESIGNS, Kind
from pipelines.sweep.designs.geometry import allowed, exact

if TYPE_CHECKING:
    from pipelines.sweep.space import Floats, Simplex

TRIES, AT_ONCE = 10_240, 512
"""Draws for one mix before the bounds count as hopeless."""


@DESIGNS.register("dirichlet")
class Dirichlet(Kind):
    """Each mix is drawn for itself, and drawn again until it lies within bounds and caps."""

    prior: Literal["prior", "natural", "uniform"] = "prior"
    """The mix that draws are around: their mean, without bounds."""
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """p ~ prior^(1/T): above 1 evens it out."""
    strength: float | tuple[float, float] = 1.0
    """How close to it: 1 around an even mix makes all mixes alike likely, less goes to the corners. Two numbers: drawn anew
    for each mix between them, evenly in the logarithm."""

    @field_validator("strength")
    @classmethod
    def _above_zero(cls, strength: float | tuple[float, float]) -> float | tuple[float, float]:
        low, high = strength if isinstance(strength, tuple) else (strength, strength)
        if not 0 < low <= high < float("inf"):
            raise ValueError("give a number above 0, or two, the smaller first")
        return strength

    @property
    def draws(self) -> bool:
        """There is no end of them."""
        return True

    def points(self, simplex: "Simplex", seed: int, count: int) -> "Floats":
        """[count, components]; ConfigError when draws hardly ever lie within the bounds."""
        base = self._base(simplex)
        drawn = [self._drawn(simplex, base, seed, number) for number in range(count)]
        return np.array(drawn).reshape(count, len(base))

    def _base(self, simplex: "Simplex") -> "Floats":
        even = tuple(1 / len(simplex.components) for _ in simplex.components)
        known = np.array({"prior": simplex.prior, "natural": simplex.natural, "uniform": even}[self.prior])
        powers: Floats = (known / known.max()) ** (1 / self.temperature)
        base: Floats = powers / powers.sum()
        return base

    def _drawn(self, simplex: "Simplex", base: "Floats", seed: int, number: int) -> "Floats":
        """Mix `number`: a function of seed, axis and number alone."""
        dice = rng(seed, f"sweep/dirichlet/{simplex.axis}", str(number))
        low, high = self.strength if isinstance(self.strength, tuple) else (self.strength, self.strength)
        strength = float(np.exp(dice.uniform(np.log(low), np.log(high)))) if high > low else low
        held = base > 0
        for _ in range(TRIES // AT_ONCE):
            points = np.zeros((AT_ONCE, len(base)))
            points[:, held] = dice.dirichlet(strength * len(base) * base[held], AT_ONCE)
            points = points[np.isfinite(points).all(axis=1)]
            if len(fit := allowed(simplex, points)):
                return exact(fit[0], np.array(simplex.low), np.array(simplex.high))
        raise ConfigError(
            f"none of {TRIES:,} mixes drawn around the {self.prior} of {simplex.axis} lies within its bounds and the caps on"
            " repeats; widen low and high, raise strength, give the mix a smaller size, or take lattice or centroid"
        )
