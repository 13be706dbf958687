"""Seconds and memory to turn a catalogue of a million samples into a plan, flat and as a curriculum.

    python benchmarks/bench_mix.py [samples]

The catalogue is synthetic (its columns are those of a real one); every step runs in this one process.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pyarrow as pa
from common import say_machine

from curate.engine import Partition, PartWriter, StageManifest
from curate.engine import run as run_stage
from curate.mixture.accounts import account
from curate.mixture.catalogue import catalogue_schema
from curate.mixture.compose import compose
from curate.mixture.diff import diff
from curate.mixture.draw import renumbered
from curate.mixture.settings import MixSpec
from curate.mixture.sources import Source
from curate.mixture.stock import Stock, assemble
from curate.settings import Settings, build
from curate.shards.plans import FORMAT, Plan, PlanManifest, write_plan
from curate.storage import Folder

R = TypeVar("R")
PER_SHARD = 5_000
CONCEPTS = 1_000


class Synthetic:
    """Stands for the catalogue stage: draws its rows."""

    name, version = "catalogue", "bench"

    def __init__(self) -> None:
        self.settings = Settings()

    def setup(self) -> None:
        """Nothing."""

    def process(self, payload: int, part: PartWriter) -> None:
        """One shard's rows."""
        part.saw(PER_SHARD)
        part.table(rows(payload))


def rows(shard: int) -> pa.Table:
    """Catalogue rows of a shard: 0 to 8 shots, four formats, a thousand concepts."""
    dice = np.random.default_rng(shard)
    shots = np.array([0, 1, 2, 4, 8])[dice.integers(0, 5, PER_SHARD)]
    members = shots + 2
    offsets = np.concatenate([[0], np.cumsum(members)])
    total = int(offsets[-1])
    lists = [pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values)) for values in (
        np.arange(total) * 40_000, np.full(total, 30_000), dice.integers(0, 2**32, total).astype(np.uint32))]  # fmt: skip
    formats, kinds = (
        ("multiple_choice", "open_qa", "caption", "classification"),
        ("category", "attribute", "relation", "instance"),
    )
    words = [
        [kinds[i] for i in dice.integers(0, 4, PER_SHARD)],
        [f"concept {i}" for i in dice.zipf(1.5, PER_SHARD) % CONCEPTS],
        [formats[i] for i in dice.integers(0, 4, PER_SHARD)],
        ["rices"] * PER_SHARD,
        ["CC0-1.0"] * PER_SHARD,
    ]
    counts = [shots, shots + 1, dice.integers(2, 40, PER_SHARD) * (shots + 1), 400 * (shots + 1)]
    measures = [dice.random(PER_SHARD), dice.normal(size=PER_SHARD)]
    columns = [[f"{shard * PER_SHARD + i:08d}" for i in range(PER_SHARD)], *lists, *words, *counts, *measures]
    return pa.table([pa.array(c).cast(f.type) if not isinstance(c, pa.Array) else c.cast(f.type)
                     for c, f in zip(columns, catalogue_schema(), strict=True)], schema=catalogue_schema())  # fmt: skip


def spec(order: str, unit: str, by_concept: bool) -> MixSpec:
    """Formats, shots and, when asked, concepts; shots grow over the plan."""
    quotas = [
        {"axis": "format", "shares": {"multiple_choice": 42, "open_qa": 40, "caption": 18}},
        {"axis": "shots", "shares": "uniform"},
        *([{"axis": "concept", "shares": "natural", "temperature": 2}] if by_concept else []),
    ]
    course = {"schedules": [{"axis": "shots", "kind": "cosine", "path": [0, 1, 2, 4, 8]}]}
    given = {"sources": [{"name": "web", "shards": "x"}], "quotas": quotas, "max_repeats": 2, "curriculum": course}
    return build(MixSpec, {**given, "order": order, "unit": unit})


CASES = (
    ("curriculum", "sample", False),
    ("flat", "sample", False),
    ("curriculum", "supervised_token", False),
    ("curriculum", "sample", True),
    ("curriculum", "supervised_token", True),
)


def main() -> None:
    """Prints the table."""
    say_machine("numpy", "pyarrow", "scipy")
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    shards = samples // PER_SHARD
    with tempfile.TemporaryDirectory() as place:
        root = Folder.of(place)
        manifest = run_stage(Synthetic(), [Partition(str(n), n) for n in range(shards)], root / "catalogue")
        print(f"{samples:,} samples in {shards} shards; at the start {peak():,.0f} MB")
        sources = [source(manifest, root, shards)]
        stock = timed("read the catalogue", lambda: assemble(sources, [root / "catalogue"]))
        plans = [one_plan(stock, sources, root, *case) for case in CASES]
        found = timed("diff of curriculum and flat", lambda: diff(Plan.open(plans[0].folder), Plan.open(plans[1].folder)))
        print(f"    same samples: {found.same_samples}, same order: {found.same_order}")


def one_plan(stock: Stock, sources: list[Source], root: Folder, order: str, unit: str, by_concept: bool) -> Plan:
    """What build_plan does once the catalogue is read, step by step."""
    label = f"{order}, {unit}{', 1,000 concepts' if by_concept else ''}"
    wanted, place = spec(order, unit, by_concept), root / label
    made = timed(f"compose: {label}", lambda: compose(wanted, stock, sources))
    report = timed("  account", lambda: account(wanted, made, stock, sources, {"web": {}}, "estimate"))
    numbers, kept = renumbered(made.order, len(stock))
    chosen = timed("  choose", lambda: stock.taken(kept))
    header = PlanManifest(FORMAT, 0, {}, (sources[0].planned(place),), tuple(made.ends.tolist()), report)
    plan = timed("  write", lambda: write_plan(place, header, numbers, chosen.samples, chosen.members))
    worst, off = made.arrangement.worst, len(report["reasons"])
    print(f"    {len(numbers):,} in the plan, {len(made.ends)} blocks, worst block {worst:.2f} points, {off} shares off")
    return plan


def source(manifest: StageManifest, root: Folder, shards: int) -> Source:
    """The synthetic source."""
    names = tuple(f"part-{n:05d}.tar" for n in range(shards))
    manifest.sizes.update(dict.fromkeys(names, 10**9))
    return Source("web", root / "shards", manifest, names, None, 2, False)


def timed(what: str, work: Callable[[], R]) -> R:
    """Runs and prints seconds and the process's highest memory so far."""
    began = time.perf_counter()
    result = work()
    print(f"{what:<44} {time.perf_counter() - began:7.2f} s   {peak():7,.0f} MB")
    return result


def peak() -> float:
    """Highest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
