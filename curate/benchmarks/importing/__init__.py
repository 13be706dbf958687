"""Other projects' few-shot files as frozen benchmarks: one file a format, one line here.

An importer reads a format and says which demonstrations stand before which query, as that project's own harness would; what
it shares with the others is the `Desk`, which reads pictures below the source's root only, verifies them by decoding,
and counts what is bad. A record that cannot be used is rejected with its reason, never replaced by another.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from curate.benches import Item, Metric
from curate.benchmarks.importing.desk import Desk
from curate.benchmarks.importing.settings import FileSettings
from curate.registry import Registry


class BenchImporter(Protocol):
    """Reads one format."""

    @property
    def settings(self) -> type[FileSettings]:
        """What it can be told."""

    @property
    def title(self) -> str:
        """What it asks, in a line, where the settings say nothing."""

    def root(self, path: Path, settings: Any) -> Path:
        """The folder below which every picture must lie; InputError when the path does not hold what it reads."""

    def items(self, path: Path, settings: Any, desk: Desk) -> Iterator[Item]:
        """The items in an order that depends on nothing but the source and the settings. Bad records go to the desk."""

    def metric(self, settings: Any, items: list[Item]) -> Metric:
        """How answers are scored."""


BENCH_IMPORTERS: Registry[BenchImporter] = Registry("importer of benchmarks")

from curate.benchmarks.importing import flamingo, llava, vlicl  # noqa: E402, F401
