"""The arrays of a batch: rows of padding, onto which episodes are written one beside another."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from train.data.records import Rendered, Segment

IGNORED = -100
"""A label that transformers' losses pass over."""


@dataclass(frozen=True, slots=True)
class Laid:
    """An episode at its place in the batch."""

    segment: Segment
    rendered: Rendered
    positions: npt.NDArray[np.int64]  # [T] or [3, T]


class Sheets:
    """The arrays of a batch of B rows of L positions, all padding until episodes are written onto them."""

    def __init__(self, rows: int, length: int, padding: int, threefold: bool) -> None:
        shape = (rows, length)
        self.input_ids = np.full(shape, padding, np.int64)
        count = np.broadcast_to(np.arange(length, dtype=np.int64), (3, *shape) if threefold else shape)
        self.positions = count.copy()  # [B, L] or [3, B, L]
        self.labels = np.full(shape, IGNORED, np.int64)
        self.weights = np.zeros(shape, np.float32)
        self.answers = np.full(shape, -1, np.int16)
        self.segments = np.zeros(shape, np.int32)

    def write(self, laid: Laid) -> None:
        """One episode. Its first token is never a label: the position before it belongs to another episode."""
        row, start, rendered = laid.segment.row, laid.segment.start, laid.rendered
        there = (row, slice(start, laid.segment.stop))
        self.input_ids[there] = rendered.input_ids
        self.positions[(..., *there)] = laid.positions
        self.weights[there] = rendered.weights
        self.weights[row, start] = 0
        self.labels[there] = np.where(self.weights[there] > 0, rendered.input_ids, IGNORED)
        self.answers[there] = rendered.answers
        self.answers[row, start] = -1
        self.segments[there] = self.segments[row].max() + 1
