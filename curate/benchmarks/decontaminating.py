"""What training has seen, held against what a benchmark would show."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.benches import Item
from curate.benchmarks.settings import Decontamination
from curate.schema import Demonstration


@dataclass(frozen=True, eq=False)
class Seen:
    """Everything of training that a benchmark must not hold."""

    places: list[dict[str, Any]]  # name, digest and counts of each run or plan
    refs: set[str]
    hashes: npt.NDArray[np.uint64]  # distinct perceptual hashes, ascending
    documents: set[str]
    concepts: set[str]  # as compared: see `concept_key`
    broader: set[str]
    vectors: npt.NDArray[np.float16] | None = field(default=None)  # [V, D] where cosines are asked for


def read_seen(settings: Decontamination, places: Sequence[str]) -> Seen:
    """Reads runs (their demonstrations) and plans (the samples they draw); InputError for a place that is neither."""
    raise NotImplementedError


def faults(demonstrations: Sequence[Demonstration], seen: Seen, settings: Decontamination) -> list[str]:
    """For every demonstration the first rule it breaks: picture, perceptual_hash, cosine, document, concept; "" for none."""
    raise NotImplementedError


def proof(
    items: Sequence[Item], demonstrations: Sequence[Demonstration], seen: Seen, settings: Decontamination
) -> dict[str, Any]:
    """Compares the finished items with training once more, from their own records: what they share (all zero, or the
    benchmark is refused) and how near the nearest pictures come."""
    raise NotImplementedError
