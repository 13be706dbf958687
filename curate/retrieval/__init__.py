"""Vectors to neighbours: index, search and audit."""

from curate.retrieval.audit import recall_at_k
from curate.retrieval.build import build_index
from curate.retrieval.exact import Neighbours
from curate.retrieval.index import Index
from curate.retrieval.kinds import IndexSettings
from curate.retrieval.pool import neighbours_of_all, neighbours_within

__all__ = ["Index", "IndexSettings", "Neighbours", "build_index", "neighbours_of_all", "neighbours_within", "recall_at_k"]
