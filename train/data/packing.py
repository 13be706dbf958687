"""Which episodes of a window share a row: best-fit decreasing under two limits, positions and pictures.

The largest episode is placed first, each into the row where it leaves the least room and still finds room for
its pictures; a new row opens only where none has room. The rows come out in the order of their members in
the window, so that a curriculum survives packing.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Counts: TypeAlias = Sequence[int] | npt.NDArray[np.int32] | npt.NDArray[np.int64]
Ints: TypeAlias = npt.NDArray[np.int64]


def pack(tokens: Counts, images: Counts, max_tokens: int, max_images: int | None = None) -> list[list[int]]:
    """Rows of a window of N episodes, each a list of places in the window, in rising order.

    `tokens` and `images` ([N]) are what each episode takes of a row's `max_tokens` and `max_images`. Rows are
    ordered by the mean place of their members. Equal input gives equal rows. ValueError where an episode does
    not fit into a row of its own.
    """
    sizes, pictures = np.asarray(tokens, dtype=np.int64), np.asarray(images, dtype=np.int64)
    slots = int(pictures.sum()) if max_images is None else max_images
    _check(sizes, pictures, max_tokens, slots)
    rows = [sorted(row) for row in _filled(sizes, pictures, max_tokens, slots)]
    return sorted(rows, key=lambda row: (sum(row) / len(row), row[0]))


def _check(sizes: Ints, pictures: Ints, max_tokens: int, slots: int) -> None:
    if sizes.shape != pictures.shape or sizes.ndim != 1:
        raise ValueError(f"tokens and images must be equally many, not {sizes.shape} and {pictures.shape}")
    wrong = np.flatnonzero((sizes < 1) | (sizes > max_tokens) | (pictures < 0) | (pictures > slots))
    if len(wrong):
        place = int(wrong[0])
        raise ValueError(
            f"episode {place} of the window has {sizes[place]} tokens and {pictures[place]} images;"
            f" a row takes 1 to {max_tokens} tokens and at most {slots} images"
        )


def _filled(sizes: Ints, pictures: Ints, max_tokens: int, slots: int) -> list[list[int]]:
    """Rows in the order in which they were opened.

    Open rows are kept as whole numbers `room * step + row`, sorted: one bisection finds the tightest row with room.
    """
    step = len(sizes) + 1
    rows: list[list[int]] = []
    free: list[int] = []  # pictures that each row still takes
    open_rows: list[int] = []
    smallest, fewest = int(sizes.min(initial=max_tokens)), int(pictures.min(initial=slots))
    order = np.argsort(-sizes, kind="stable")
    for place, size, count in zip(order.tolist(), sizes[order].tolist(), pictures[order].tolist(), strict=True):
        at = bisect_left(open_rows, size * step)
        while at < len(open_rows) and free[open_rows[at] % step] < count:
            at += 1
        if at < len(open_rows):
            room, row = divmod(open_rows.pop(at), step)
        else:
            room, row = max_tokens, len(rows)
            rows.append([])
            free.append(slots)
        rows[row].append(place)
        free[row] -= count
        if room - size >= smallest and free[row] >= fewest:
            insort(open_rows, (room - size) * step + row)
    return rows
