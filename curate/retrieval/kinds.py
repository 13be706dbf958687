"""Which FAISS index suits how many vectors, and how it is made with equal bytes every time.

flat       exact; every query reads every vector. Below `exact_below`.
ivf_fp16   k-means cells of which a query visits a few; vectors as they are (float16), so that similarities stay
           exact and only recall is lost. While the vectors fit `memory_gib`.
ivf_sq8    the same with 8 bits a dimension, at half the size.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from curate.encoders.vectors import Space, Vectors
from curate.retrieval.audit import recall_at_k
from curate.retrieval.exact import Ints, Neighbours, Single, one_thread, top_of_blocks, without_self
from curate.seeding import rng, seed_of
from curate.settings import Settings

if TYPE_CHECKING:
    import faiss

Kind = Literal["flat", "ivf_fp16", "ivf_sq8"]
AT = 10
GAIN = 0.002  # twice the cells for less recall than this are not worth it
AUDITED = 256  # stored vectors that are searched to choose the number of probes


class IndexSettings(Settings):
    """Which vectors are indexed, and how."""

    space: Space = "image"
    """image or text."""
    exact_below: int = Field(default=200_000, ge=0)
    """With fewer vectors than this the index is exact."""
    memory_gib: float = Field(default=8.0, gt=0)
    """An approximate index keeps float16 vectors while they take less than this, 8 bits a dimension beyond."""
    cells: int = Field(default=0, ge=0)
    """Cells of an approximate index; 0: twice the square root of the number of vectors."""
    train_per_cell: int = Field(default=40, ge=1)
    """Vectors for each cell that k-means learns from, a random sample."""
    recall: float = Field(default=0.95, gt=0, le=1)
    """Recall@10 that the number of cells a query visits is chosen for, on a sample of stored vectors."""
    seed: int = 0
    """Seed of the samples and of k-means."""


def kind_for(count: int, dim: int, settings: IndexSettings) -> Kind:
    """The kind of index for `count` vectors of length `dim`."""
    if count < max(settings.exact_below, 2):
        return "flat"
    return "ivf_fp16" if 2 * count * dim <= settings.memory_gib * 2**30 else "ivf_sq8"


def make(vectors: Vectors, settings: IndexSettings) -> "tuple[faiss.Index, dict[str, Any]]":
    """The index over the rows that have a vector, in order, and what is to be known about it.

    One thread computes throughout: k-means on several would sum in another order and give other bytes.
    """
    rows = np.flatnonzero(vectors.present)
    kind = kind_for(len(rows), vectors.dim, settings)
    facts: dict[str, Any] = {"kind": kind, "vectors": len(rows), "dim": vectors.dim}
    with one_thread():
        index = _flat(vectors.dim) if kind == "flat" else _trained(vectors, rows, kind, settings)
        for block in present_blocks(vectors):
            index.add(block)
        if kind != "flat":
            facts |= {"cells": index.nlist, **_tuned(index, vectors, rows, settings, kind == "ivf_sq8")}
    return index, facts


def present_blocks(vectors: Vectors) -> Iterator[Single]:
    """The vectors of all rows that have one, in order and as float32, some thousands at a time."""
    start = 0
    for block in vectors.blocks():
        here = vectors.present[start : start + len(block)]
        start += len(block)
        yield block[here].astype(np.float32)


def _flat(dim: int) -> "faiss.Index":
    import faiss

    return faiss.IndexFlatIP(dim)


def _trained(vectors: Vectors, rows: Ints, kind: Kind, settings: IndexSettings) -> "faiss.Index":
    import faiss

    cells = min(settings.cells or round(2 * len(rows) ** 0.5), len(rows))
    code = {"ivf_fp16": faiss.ScalarQuantizer.QT_fp16, "ivf_sq8": faiss.ScalarQuantizer.QT_8bit}[kind]
    product = faiss.METRIC_INNER_PRODUCT
    # Float16 codes are the very vectors; 8 bits go further on what is left of a vector beyond its cell's centre.
    of_residual = kind == "ivf_sq8"
    index = faiss.IndexIVFScalarQuantizer(_flat(vectors.dim), vectors.dim, cells, code, product, of_residual)
    index.cp.seed = seed_of(settings.seed, "index", "cells") % 2**31
    index.cp.min_points_per_centroid = 1  # a small sample is the user's choice, not worth a warning on the terminal
    index.cp.max_points_per_centroid = max(256, settings.train_per_cell)
    index.train(vectors.take(_sample(rows, cells * settings.train_per_cell, settings, "train")).astype(np.float32))
    return index


def _sample(rows: Ints, count: int, settings: IndexSettings, what: str) -> Ints:
    """At most `count` of the rows, ascending."""
    if len(rows) <= count:
        return rows
    return np.sort(rng(settings.seed, "index", what).choice(rows, count, replace=False))


def _tuned(index: "faiss.Index", vectors: Vectors, rows: Ints, settings: IndexSettings, lossy: bool) -> dict[str, Any]:
    """Doubles the cells that a query visits until the audit is content; lossy codes may stop gaining before that."""
    some = _sample(rows, AUDITED, settings, "audit")
    queries, owners = vectors.take(some).astype(np.float32), np.searchsorted(rows, some)
    truth = without_self(owners, top_of_blocks(present_blocks(vectors), queries, AT + 1))
    probes, best = 0, -1.0
    while best < settings.recall and probes < index.nlist:
        index.nprobe = min(max(1, 2 * probes), index.nlist)
        scores, found = index.search(queries, AT + 1)
        recall = recall_at_k(without_self(owners, Neighbours(found, scores)).rows, truth.rows, AT)
        if lossy and recall < settings.recall and recall - best < GAIN:
            break
        probes, best = index.nprobe, recall
    index.nprobe = probes
    return {"probes": probes, "recall_at_10": round(best, 4)}
