"""Shares over progress 0..1, averaged over blocks without error: everything is a sum of ramps with known integrals.

A ramp rises from 0 to 1 between `start` and `stop`: linear, along a half cosine (1 - cos(pi z)) / 2, or at once at
`stop` (step). All three are symmetric, so that a cross-fade of width 2h around a boundary takes from one side what it
gives to the other, and the totals of both values stay what they were.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import numpy as np

from curate.mixture.cells import Floats
from curate.mixture.quotas import normalised

Kind = Literal["step", "linear", "cosine"]


def ramp_integral(kind: Kind, at: Floats, start: float, stop: float) -> Floats:
    """Integral of the ramp from 0 to `at`."""
    length = stop - start
    after = np.maximum(at - stop, 0)
    if kind == "step" or length <= 0:
        return after
    z = np.clip((at - start) / length, 0, 1)
    rising = z**2 / 2 if kind == "linear" else z / 2 - np.sin(np.pi * z) / (2 * np.pi)
    return length * rising + after


def path_over(kind: Kind, widths: Floats, edges: Floats) -> Floats:
    """[B, V] mean shares in the blocks between `edges` [B+1] when values of `widths` [V] (sum 1) come in turn.

    Neighbours fade into each other over as much as the narrower of the two allows: half its width on either side.
    """
    wide = np.flatnonzero(widths > 0)
    shares = np.zeros((len(edges) - 1, len(widths)))
    began = np.diff(edges)  # integral of "this value's turn has begun", less that of the next one's
    boundary = 0.0
    for here, there in pairwise(wide):
        boundary += float(widths[here])
        half = 0.0 if kind == "step" else min(widths[here], widths[there]) / 2
        begins = np.diff(ramp_integral(kind, edges, boundary - half, boundary + half))
        shares[:, here] = began - begins
        began = begins
    if len(wide):
        shares[:, wide[-1]] = began
    return np.maximum(shares, 0) / np.maximum(np.diff(edges), 1e-300)[:, None]


def points_over(kind: Kind, points: Mapping[float, Mapping[str, float]], edges: Floats) -> tuple[list[str], Floats]:
    """Values, and [B, V] their mean shares in the blocks between `edges` [B+1], from shares given at some progress.

    Before the first point and after the last the shares are constant; step keeps a point's shares until the next.
    """
    progress = sorted(points)
    values = list(dict.fromkeys(value for at in progress for value in points[at]))
    given = [normalised(f"progress {at}", points[at]) for at in progress]
    shares = np.array([[share.get(value, 0.0) for value in values] for share in given])
    mean = np.repeat(shares[:1], len(edges) - 1, axis=0)
    for i in range(1, len(progress)):
        risen = np.diff(ramp_integral(kind, edges, progress[i - 1], progress[i])) / np.maximum(np.diff(edges), 1e-300)
        mean += risen[:, None] * (shares[i] - shares[i - 1])
    return values, np.maximum(mean, 0)
