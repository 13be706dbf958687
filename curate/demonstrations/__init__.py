"""Documents and captioned sets -> Demonstrations: image-text assignment, importers, an exporter."""

from curate.demonstrations.aligning import AlignSettings, ImageTextScorer, align, align_source
from curate.demonstrations.exporting import export_llava
from curate.demonstrations.found import IMPORTERS, ImportSettings
from curate.demonstrations.importing import import_set, prepare

__all__ = [
    "IMPORTERS",
    "AlignSettings",
    "ImageTextScorer",
    "ImportSettings",
    "align",
    "align_source",
    "export_llava",
    "import_set",
    "prepare",
]
