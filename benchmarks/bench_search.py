"""Index and search: build time, queries/s and recall, and the self-join of a pool beside FAISS's own exact search.

The vectors are synthetic (clusters of unequal size around random centres, noise with a falling spectrum), because
no real collection of 300,000 pictures fits a benchmark; the shape of the space is thus milder or harsher than yours.
Everything runs on one thread, and seconds are those of the processor, so that neighbours on the machine show little.

    python benchmarks/bench_search.py [--sizes 50000 300000] [--dim 512]
"""

import argparse
import io
import tempfile
import time

import faiss
import numpy as np
import pyarrow as pa
from common import say_machine
from threadpoolctl import threadpool_limits

from curate.engine import Partition, PartWriter, run
from curate.layout import Run
from curate.retrieval import Index, IndexSettings, build_index, neighbours_of_all, recall_at_k
from curate.settings import Settings

QUERIES = 1024
KINDS = {"flat": {"exact_below": 10**9}, "ivf_fp16": {"exact_below": 0}, "ivf_sq8": {"exact_below": 0, "memory_gib": 1e-9}}


def vectors(count: int, dim: int, seed: int) -> np.ndarray:
    """[count, dim] float16 unit vectors: 2,000 centres, the j-th bigger than the next; noise falling as 1/sqrt(1 + j)."""
    dice, fixed = np.random.default_rng(seed), np.random.default_rng(11)
    spectrum = 1 / np.sqrt(1 + np.arange(dim, dtype=np.float32))
    centres = fixed.standard_normal((2000, dim), dtype=np.float32) * spectrum
    shares = 1 / (10 + np.arange(2000))
    chosen = dice.choice(2000, size=count, p=shares / shares.sum())
    found = centres[chosen] + 0.6 * spectrum * dice.standard_normal((count, dim), dtype=np.float32)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)


class Given(Settings):
    encoder: str = "synthetic"
    image_space: str = "joint"


class Embedded:
    """The files that `curate embed` writes."""

    name, version, settings = "embed", "1", Given()

    def setup(self) -> None: ...

    def process(self, payload: np.ndarray, part: PartWriter) -> None:
        ids = [f"d{i}" for i in range(len(payload))]
        out = io.BytesIO()
        np.save(out, payload)
        part.table(pa.table({"demonstration_id": ids, "image_ref": ids}))
        part.file("image.npy", out.getvalue())


def rate(index: Index, queries: np.ndarray, batch: int, limit: int) -> float:
    began = time.process_time()
    for start in range(0, limit, batch):
        index.search(queries[start : start + batch], 10)
    return limit / (time.process_time() - began)


def index_rows(count: int, dim: int, folder: str) -> None:
    place, queries = Run.at(f"{folder}/{count}"), vectors(QUERIES, dim, 2)
    run(Embedded(), [Partition("", vectors(count, dim, 1))], place.embeddings)
    truth = None
    for kind, settings in KINDS.items():
        began = time.process_time()
        build_index(place, IndexSettings.model_validate(settings))
        built = time.process_time() - began
        index = Index.open(place.index)
        found = index.search(queries, 10)
        truth = found.rows if truth is None else truth
        single, batched = rate(index, queries, 1, 64), rate(index, queries, QUERIES, QUERIES)
        size, recall = place.index.size("image/part-00000.faiss") / 2**20, recall_at_k(found.rows, truth, 10)
        cells = f"{index.facts.get('cells', ''):>6} {index.facts.get('probes', ''):>6}"
        print(
            f"{count:>8,} {kind:<9} {cells} {built:8.1f} {size:8,.0f} {single:10,.0f} {batched:10,.0f} {recall:8.3f}",
            flush=True,
        )


def self_join(count: int, dim: int, k: int) -> None:
    pool = vectors(count, dim, 3)
    wide = pool.astype(np.float32)
    faiss.omp_set_num_threads(1)
    began = time.process_time()
    theirs = faiss.knn(wide, wide, k + 1, metric=faiss.METRIC_INNER_PRODUCT)[1]
    middle = time.process_time()
    ours = neighbours_of_all(pool, k)[0]
    end = time.process_time()
    same = recall_at_k(ours, np.where(theirs == np.arange(count)[:, None], -1, theirs), k + 1)
    repeated = np.repeat(pool[: count // 5], 5, axis=0)
    again = time.process_time()
    neighbours_of_all(repeated, k)
    repeats = time.process_time() - again
    print(f"\nself-join, {count:,} x {dim}, k = {k}, one thread:   seconds   vectors/s   ratio")
    for what, seconds in (("faiss.knn", middle - began), ("neighbours_of_all", end - middle), ("  each 5 times", repeats)):
        print(f"{what:<46} {seconds:8.1f} {count / seconds:11,.0f} {(middle - began) / seconds:7.2f}")
    print(f"share of faiss.knn's neighbours that are ours too: {same:.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 300_000])
    parser.add_argument("--dim", type=int, default=512)
    chosen = parser.parse_args()
    say_machine("faiss-cpu", "numpy")
    print(f"synthetic clustered unit vectors of length {chosen.dim}, float16; k = 10; one thread; faiss {faiss.__version__}")
    head = [("vectors", 8), ("kind", -9), ("cells", 6), ("probes", 6), ("build s", 8), ("MiB", 8)]
    head += [("one/s", 10), ("batch/s", 10), ("recall", 8)]
    print(" ".join(f"{name:>{width}}" if width > 0 else f"{name:<{-width}}" for name, width in head))
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for count in chosen.sizes:
            index_rows(count, chosen.dim, folder)
        self_join(min(chosen.sizes), chosen.dim, 64)


if __name__ == "__main__":
    main()
