"""What one pass over a plan holds, counted without reading a picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curate.seeding import rng
from curate.shards.plans import Plan
from train.data.lengths import COLUMNS, Lengths
from train.data.loader import LoaderSettings, rows_of
from train.data.packing import pack

if TYPE_CHECKING:
    from train.data.rendering import Renderer

SAMPLED = 64
"""Samples that are measured where the plan's lengths were not yet."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over a plan holds. Not `exact`: scaled from some samples."""

    samples: int
    unusable: int
    rows: int
    rows_of_all: int  # epochs; packing makes a few more or less of each
    tokens: int  # without padding
    supervised: int
    image_tokens: int
    images: int
    exact: bool
    counted_by: str


def count_epoch(plan: Plan, renderer: "Renderer", settings: LoaderSettings) -> Epoch:
    """By the lengths beside the plan, else by some samples that are measured now."""
    lengths = Lengths.find(plan, renderer)
    if lengths is None:
        return _sampled(plan, renderer, settings)
    rows = rows_of(plan, settings, lengths)
    counts = [sum(len(rows.of(epoch, window)) for window in range(rows.windows)) for epoch in range(settings.epochs or 1)]
    by = "the measured lengths beside the plan"
    return _summed(lengths, plan.order.astype(np.int64), counts[0], sum(counts), by, 1)


def _sampled(plan: Plan, renderer: "Renderer", settings: LoaderSettings) -> Epoch:
    from train.data.measuring import Measurer

    chosen = rng(0, "dry-run", plan.digest).choice(len(plan), min(SAMPLED, len(plan)), replace=False)
    numbers = [int(plan.order[place]) for place in sorted(chosen.tolist())]
    measures = Measurer(plan, renderer).part(numbers).measures
    lengths = Lengths.of(dict(zip(COLUMNS, measures.T, strict=True)))
    rows_of(plan, settings, lengths)  # raises what the loader would
    used = np.flatnonzero(lengths.tokens)
    rows = len(used)
    if settings.packing:
        rows = len(pack(lengths.tokens[used], lengths.images[used], settings.max_tokens, settings.max_images))
    by = f"{len(numbers):,} of {len(plan):,} samples, measured now"
    return _summed(lengths, np.arange(len(numbers)), rows, rows * (settings.epochs or 1), by, len(plan) / len(numbers))


def _summed(lengths: Lengths, order: npt.NDArray[np.int64], rows: int, all_rows: int, by: str, times: float) -> Epoch:
    """The measures of the samples in `order`, each counted `times`."""

    def total(column: npt.NDArray[np.generic]) -> int:
        return round(int(column[order].sum(dtype=np.int64)) * times)

    return Epoch(
        samples=round(len(order) * times),
        unusable=total(lengths.tokens == 0),
        rows=round(rows * times),
        rows_of_all=round(all_rows * times),
        tokens=total(lengths.tokens),
        supervised=total(lengths.supervised),
        image_tokens=total(lengths.image_tokens),
        images=total(lengths.images),
        exact=times == 1,
        counted_by=by,
    )
