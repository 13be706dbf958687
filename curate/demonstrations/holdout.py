"""Concepts held back from training: a split by the hash of the concept's name alone.

The same seed and share hold back the same concepts in every source, every drawing style and every task, on
every machine, whatever else a set holds. Import a set twice, as `rest` and as `held`, into two runs.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from curate.seeding import rng
from curate.settings import Settings

Part = Literal["rest", "held"]


class HoldoutSettings(Settings):
    """Which records an import takes, by their concept."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the concepts that is held back."""
    seed: int = 0
    """Another seed, other concepts."""
    take: Part = "rest"
    """rest: what is not held back, to train on. held: what is, to measure on."""
    level: Literal["innermost", "outermost"] = "innermost"
    """Which of a record's concepts decides: its most specific one, or its broadest, so that siblings stay together."""

    def part_of(self, concepts: Sequence[str]) -> Part:
        """Where a record with these concepts belongs; one without any is never held back."""
        if not concepts:
            return "rest"
        name = " ".join(concepts[0 if self.level == "innermost" else -1].casefold().split()).rstrip(".")
        return "held" if rng(self.seed, "holdout", name).random() < self.share else "rest"
