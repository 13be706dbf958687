"""Where raw material comes from: sample corpora through package managers, and archives read safely."""

from curate.sources.catalogue import Sample, catalogue, sample
from curate.sources.fetching import cache_folder, fetch, locate, path_of, record_of

__all__ = ["Sample", "cache_folder", "catalogue", "fetch", "locate", "path_of", "record_of", "sample"]
