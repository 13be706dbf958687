"""Concepts held back from training: a split by the hash of the concept's name alone.

The same seed and share hold back the same concepts in every source, every drawing style and every task, on
every machine, whatever else a set holds. Import a set twice, as `rest` and as `held`, into two runs.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from curate.seeding import rng
from curate.settings import Settings

Part = Literal["rest", "held"]
Half = Literal["first", "second"]


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
    half: Half | None = None
    """With `held`, only one half of the concepts held back: recipes chosen on the first, figures from the second."""

    @model_validator(mode="after")
    def _half_of_held(self) -> "HoldoutSettings":
        if self.half and self.take != "held":
            raise ValueError("only what is held back has halves: half goes with take: held")
        return self

    def takes(self, concepts: Sequence[str]) -> bool:
        """Whether a record with these concepts is wanted."""
        part = self.part_of(concepts)
        return part == self.take and (self.half is None or self.half == self._half_of(concepts))

    def part_of(self, concepts: Sequence[str]) -> Part:
        """Where a record with these concepts belongs; one without any is never held back."""
        if not concepts:
            return "rest"
        return "held" if rng(self.seed, "holdout", self._name(concepts)).random() < self.share else "rest"

    def _half_of(self, concepts: Sequence[str]) -> Half:
        return "first" if rng(self.seed, "holdout-half", self._name(concepts)).random() < 0.5 else "second"

    def _name(self, concepts: Sequence[str]) -> str:
        return " ".join(concepts[0 if self.level == "innermost" else -1].casefold().split()).rstrip(".")
