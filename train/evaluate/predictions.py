"""A file of predictions, JSON lines or CSV, that grows and goes on where it stopped.

Rows are appended in chunks. What a killed process left half-written is cut off; a row whose picture has other bytes now
is taken out. Beside FILE stand FILE.meta.json (what predicted) and FILE.rejected.jsonl (pictures that could not be used).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.labelled import Rejected


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was said of a picture."""

    image: str  # path below the folder
    sha256: str  # of the file's bytes
    label: str  # the likeliest label, or what the model wrote
    score: float | None = None  # the label's share of the probability of all candidates; None where it was written
    scores: dict[str, float] = field(default_factory=dict)  # the same of every candidate, likeliest first
    demonstrations: tuple[str, ...] = ()  # names of those that it was shown with, in order


class PredictionFile:
    """One open FILE. A context manager: it is locked while it is open."""

    def __init__(self, place: Path, meta: Mapping[str, Any]) -> None:
        """`meta` is JSON: rows made under other one do not mix. ConfigError when FILE holds such, or is of no known kind."""
        self.place, self._meta = place, meta

    def __enter__(self) -> "PredictionFile":
        raise NotImplementedError

    def __exit__(self, *error: object) -> None:
        raise NotImplementedError

    def done(self) -> dict[str, str]:
        """SHA-256 by name of the pictures that have a row."""
        raise NotImplementedError

    def forget(self, names: Iterable[str]) -> None:
        """Takes the rows of these pictures out."""
        raise NotImplementedError

    def append(self, rows: Iterable[Prediction]) -> None:
        """Writes rows; they are on the disk when it returns."""
        raise NotImplementedError

    def reject(self, rows: Iterable[Rejected]) -> None:
        """Notes pictures that cannot be used; those of an earlier call are kept, those of an earlier run are not."""
        raise NotImplementedError
