"""Response models: one file each, filed by name."""

from pipelines.sweep.models import mean, polynomial, loglinear, process, trees  # noqa: F401, I001  this order breaks ties
from pipelines.sweep.models.base import MODELS, Response

__all__ = ["MODELS", "Response"]
