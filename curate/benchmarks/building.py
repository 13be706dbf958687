"""From a spec to frozen benchmarks: material read, decontaminated, made into items, proven and written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.benches import Bench
from curate.benchmarks.settings import BenchesSpec, BenchSettings
from curate.storage import Folder


@dataclass(frozen=True)
class Built:
    """One benchmark of a build."""

    bench: Bench
    unchanged: bool  # it was there already, with the same content


def build_benches(
    spec: BenchesSpec, benches: list[BenchSettings], base: Path, out: Folder, say: Callable[[str], None] = lambda line: None
) -> list[Built]:
    """Writes OUT/NAME for every benchmark. Equal spec and runs, equal bytes. InputError where a benchmark of the same version
    with other content is there, or the material gives no item."""
    raise NotImplementedError


def plan_benches(spec: BenchesSpec, benches: list[BenchSettings], base: Path) -> list[dict[str, Any]]:
    """What `build_benches` would make, benchmark by benchmark: demonstrations, those left out and why, queries, items."""
    raise NotImplementedError
