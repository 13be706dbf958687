"""What every kind of design is: settings that give points of one simplex, in an order that is theirs alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.registry import Registry
from curate.settings import Settings

if TYPE_CHECKING:
    from pipelines.sweep.space import Floats, Simplex

Pairing = Literal["product", "shuffled", "alone"]
"""How several simplices and choices come together: every point with every other; the points of each in an order of its own,
beside each other; or one simplex or choice at a time, the others as in the prior."""

MOST = 20_000
"""Points of one simplex, or rows of a product, at most."""


class Kind(Settings):
    """A kind of design. Points of a simplex that bounds do not allow are not among those it gives."""

    pairing: ClassVar[Pairing] = "shuffled"

    kind: str
    """Its name."""
    runs: int | None = Field(default=None, gt=0)
    """How many mixes of it are wanted; none takes all that there are."""

    def points(self, simplex: "Simplex", seed: int, count: int) -> "Floats":
        """[n, components] points that `simplex` allows. `count` mixes are wanted; who draws gives as many, others may not."""
        raise NotImplementedError

    @property
    def draws(self) -> bool:
        """Whether it has as many points as one likes."""
        return False


DESIGNS: Registry[type[Kind]] = Registry("design")


def names() -> Sequence[str]:
    """All kinds."""
    return list(DESIGNS)
