"""Documents and captioned sets -> Demonstrations: image-text assignment and importers."""

from curate.demonstrations.found import IMPORTERS, ImportSettings
from curate.demonstrations.importing import import_set

__all__ = ["IMPORTERS", "ImportSettings", "import_set"]
