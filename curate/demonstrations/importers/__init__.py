"""One file a format; importing this package files them all under their names."""

from curate.demonstrations.importers import captions, classes, clipart, emoji, hub, llava, metadata

__all__ = ["captions", "classes", "clipart", "emoji", "hub", "llava", "metadata"]
