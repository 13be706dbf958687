"""Episodes per second on one core over a synthetic pool of 50,000 demonstrations, with and without search and writing.

The pool is made up: 2,000 concepts under 100 kinds, 512-dimensional unit vectors that cluster by concept, three
demonstrations a document, 1 % near-duplicates. Every row builds eight-shot episodes of one format and selector;
`mixed` is all plans of the table at once, as a real build does it. Seconds are processor seconds.
"""

import argparse
import hashlib
import time
from collections.abc import Callable

import common
import numpy as np

from curate.engine import PartWriter
from curate.episodes.neighbours import ExactSearch
from curate.episodes.pool import Pool
from curate.episodes.settings import EpisodeSettings, Plan
from curate.episodes.stage import Builder
from curate.schema import Demonstration, Image, Provenance
from curate.storage import Folder, table_bytes

DIM, CONCEPTS = 512, 2000


def synthetic(count: int) -> Pool:
    """Half captions, half questions; every hundredth picture is another one again with a few bits changed."""
    dice = np.random.default_rng(0)
    which = dice.integers(CONCEPTS, size=count)
    hashes = dice.integers(2**63, size=count)
    copies = np.arange(100, count, 100)
    hashes[copies] = hashes[copies - 1] ^ 1
    demos = [_demonstration(i, int(c), int(h)) for i, (c, h) in enumerate(zip(which, hashes, strict=True))]
    centres = dice.normal(size=(CONCEPTS, DIM)).astype(np.float32)
    vectors = centres[which] + dice.normal(size=(count, DIM)).astype(np.float32)
    return Pool.of(demos, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _demonstration(i: int, concept: int, phash: int) -> Demonstration:
    ref = hashlib.sha256(str(i).encode()).hexdigest() + ".jpg"
    caption = i % 2 == 0
    return Demonstration(
        id=hashlib.sha256(f"d{i}".encode()).hexdigest()[:24],
        images=(Image(ref, 640, 480, f"{phash:016x}"),),
        question="" if caption else "What is shown here?",
        answer=f"A photo of concept {concept}, number {i}" if caption else f"concept {concept}",
        task="caption" if caption else "category",
        concepts=(f"concept {concept}", f"kind {concept % 100}"),
        format="caption" if caption else "open_qa",
        document_id=f"document {i // 3}",
        context="",
        source="synthetic",
        licence="CC0-1.0",
        provenance=Provenance("synthetic", str(i), ("import:000000000000",)),
    )


class _Cached:
    """Neighbours found before the clock starts."""

    def __init__(self, found: np.ndarray, rows: np.ndarray) -> None:
        self._found, self._at = found, {int(row): at for at, row in enumerate(rows)}

    def nearest(self, rows: np.ndarray, k: int) -> np.ndarray:
        return self._found[[self._at[int(row)] for row in rows], :k]


PLANS = [
    Plan(format=form, selector=selector, shots=[8], ways=ways, labels=labels)
    for form, ways, labels in (("multiple_choice", 2, "real"), ("multiple_choice", 4, "real"), ("classification", 2, "pseudo"))
    for selector in ("random", "concept", "rices")
] + [
    Plan(format=form, selector=selector, shots=[8])
    for form in ("open_qa", "caption")
    for selector in ("random", "concept", "rices")
]


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds over all threads: what one core would need, also on a machine that others use."""
    return common.seconds(work, time.process_time)


def measure(name: str, pool: Pool, plans: list[Plan], rows: np.ndarray, search: _Cached, searched: float, part: int) -> None:
    """One line of the table."""
    builder = Builder(pool, EpisodeSettings(episodes=plans), search)
    writer = PartWriter(Folder.of("/nowhere"), "part-00000")
    chunks = [rows[start : start + part] for start in range(0, len(rows), part)]
    builder.build(chunks[0], writer)  # groups and columns are made on first use
    tables = []
    building = seconds(lambda: tables.extend(builder.build(chunk, writer) for chunk in chunks))
    writing = seconds(lambda: [table_bytes(table) for table in tables])
    made = sum(table.num_rows for table in tables)
    share = sum(plan.selector == "rices" for plan in plans) / len(plans)
    whole = building + writing + searched * share * made / len(rows)
    speeds = [made / seconds for seconds in (building, building + writing, whole)]
    print(f"{name:34} {made:8,} " + " ".join(f"{speed:14,.0f}" for speed in speeds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=4096)
    parser.add_argument("--part", type=int, default=2048)
    args = parser.parse_args()
    common.say_machine("numpy", "pyarrow", "faiss-cpu")
    pool = synthetic(args.pool)
    rows = np.random.default_rng(1).permutation(args.pool)[: args.queries]
    found: list[np.ndarray] = []
    exact = ExactSearch(pool)
    searched = seconds(lambda: found.append(exact.nearest(rows, 64)))
    search = _Cached(found[0], rows)
    print(f"synthetic pool of {args.pool:,}, {DIM} dimensions, {args.queries:,} queries in parts of {args.part}, 8 shots")
    print(f"exact search of 64 neighbours (curate.retrieval): {args.queries / searched:,.0f} queries/s")
    print(f"{'format / selector':34} {'episodes':>8} {'built/s':>14} {'and written/s':>14} {'and searched/s':>14}")
    for plan in PLANS:
        ways = f" {plan.ways} ways" if plan.format in ("multiple_choice", "classification") else ""
        measure(f"{plan.format}{ways} / {plan.selector}", pool, [plan], rows, search, searched, args.part)
    measure("mixed", pool, PLANS, rows, search, searched, args.part)
    builder, writer = Builder(pool, EpisodeSettings(), exact), PartWriter(Folder.of("/nowhere"), "part-00000")
    made = [0]

    def default() -> None:
        for start in range(0, len(rows), args.part):
            table = builder.build(rows[start : start + args.part], writer)
            made[0] += table.num_rows
            table_bytes(table)

    spent = seconds(default)
    print(f"default settings (0-8 shots), all measured in one go: {made[0] / spent:,.0f} episodes/s with search and writing")


if __name__ == "__main__":
    main()
