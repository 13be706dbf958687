"""The demonstrations of a run that a benchmark may be made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from curate.benchmarks.settings import BenchSettings
from curate.episodes.dice import Ints, Mask
from curate.episodes.guard import Guard
from curate.episodes.pool import Pool
from curate.layout import Run
from curate.schema import Demonstration


@dataclass(frozen=True, eq=False)
class Material:
    """N demonstrations of a run, as records and as arrays; row i of one is row i of the other."""

    run: Run
    demonstrations: Sequence[Demonstration]
    pool: Pool
    clean: Mask  # [N] usable, and nothing of it occurs in training

    def queries(self, spec: BenchSettings) -> Ints:
        """Rows that may be asked about: clean, and of the spec's sources."""
        raise NotImplementedError

    def support(self, spec: BenchSettings) -> Ints:
        """Rows that may stand as demonstrations: clean, and of the spec's support sources."""
        raise NotImplementedError

    def guard(self, spec: BenchSettings) -> Guard:
        """The rules on what may stand with what."""
        return Guard(self.pool, spec.guard)
