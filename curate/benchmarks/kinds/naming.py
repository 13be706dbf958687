"""`naming`: made-up names that only the demonstrations define."""

from typing import Annotated

from pydantic import Field

from curate.benches import Metric
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.settings import ClassBenchSettings


class NamingSettings(ClassBenchSettings):
    """Naming has no question without demonstrations."""

    shots: list[Annotated[int, Field(ge=1, le=64)]] = Field(default=[1, 2, 4])
    """Demonstrations of each class; none is no question, since the names stand nowhere else."""


class Naming:
    """By which made-up name a picture goes."""

    settings = NamingSettings
    metric: Metric = "choice"
    title = "By which made-up name does the picture go?"

    def build(self, spec: NamingSettings, material: Material, seed: int) -> Made:
        """Every question at every number of shots, a positive in every position."""
        raise NotImplementedError


KINDS.register("naming")(Naming())
