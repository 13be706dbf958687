"""Filters over images, text nodes and documents: one small class a rule, filed by name.

A filter keeps (None) or names its reason (a Drop). Its `Thresholds` are its settings with the OBELICS values
as defaults. Adding one is a new file here and a line in the imports below.
"""

from curate.documents.filters import counts, images, language, repetition, reuse, wording  # noqa: F401
from curate.documents.filters.base import (
    FILTERS,
    DocumentFilter,
    Drop,
    Filter,
    ImageFilter,
    ReuseFilter,
    TextFilter,
)

__all__ = ["FILTERS", "DocumentFilter", "Drop", "Filter", "ImageFilter", "ReuseFilter", "TextFilter"]
