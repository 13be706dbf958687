"""From settings to a kind of design."""

from collections.abc import Mapping
from typing import Any

from curate.settings import build
from pipelines.sweep.designs import alone, centroid, dirichlet, grid, lattice  # noqa: F401  they register themselves
from pipelines.sweep.designs.base import DESIGNS, Kind


def kind_of(told: Mapping[str, Any]) -> Kind:
    """The kind that settings name; ConfigError for an unknown one, or settings that it has not."""
    name = str(told["kind"])
    return build(DESIGNS.get(name), told, f"design {name}")
