"""Raw sources to interleaved Documents: readers, filters, mining."""

from curate.documents.mining import mine
from curate.documents.settings import MineSettings, settings_of

__all__ = ["MineSettings", "mine", "settings_of"]
