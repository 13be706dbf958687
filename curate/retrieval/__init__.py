"""Vectors to neighbours: index, search and audit."""

from curate.retrieval.audit import recall_at_k
from curate.retrieval.build import build_index, plan_index
from curate.retrieval.exact import Neighbours
from curate.retrieval.index import Index
from curate.retrieval.kinds import IndexSettings
from curate.retrieval.pool import neighbours_of_all, neighbours_within
from curate.retrieval.query import Hit, Searcher

__all__ = [
    "Hit",
    "Index",
    "IndexSettings",
    "Neighbours",
    "Searcher",
    "build_index",
    "neighbours_of_all",
    "neighbours_within",
    "plan_index",
    "recall_at_k",
]
