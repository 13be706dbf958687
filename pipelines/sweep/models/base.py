"""What every response model is: fitted on rows of mixes, it predicts a target with its uncertainty.

All targets are turned so that higher is better before they come here.
"""

from typing import Protocol, Self

import numpy as np

from curate.registry import Registry
from pipelines.sweep.space import Floats, Simplex, Space


class Response(Protocol):
    """A model of one target over the rows of a space."""

    least: int
    """Mixes below which it is not tried."""
    bends: bool
    """Whether its best mix may lie inside the simplex; else more of one component is always better, up to the last bit."""

    def __init__(self, space: Space) -> None: ...

    def fit(self, rows: Floats, y: Floats, noise: float) -> Self:
        """Fits on rows [n, d] and y [n]; `noise` is the standard deviation of one run, 0 where it is not known."""
        ...

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean [k] and standard deviation [k] of the expected target (without the noise of a run) at rows [k, d]."""
        ...

    def again(self, ys: Floats, rows: Floats) -> Floats:
        """Means [b, k] at rows [k, d], had the same runs given ys [b, n]; its strengths stay as they were chosen."""
        ...


MODELS: Registry[type[Response]] = Registry("response model")
"""In order of preference where two predict equally well."""


def centred(space: Space, rows: Floats) -> Floats:
    """[n, d]: each row less the prior's shares and the even one-hot of each choice, so that 0 is the middle of the space."""
    middle = [np.array(one.prior) for one in space.simplices]
    middle += [np.full(len(one.levels), 1 / len(one.levels)) for one in space.choices]
    return np.asarray(rows - np.concatenate(middle), np.float64)


def shares(space: Space) -> int:
    """How many of the columns are shares; the others are choices."""
    return sum(len(one.components) for one in space.simplices if isinstance(one, Simplex))


def scale_of(y: Floats) -> tuple[float, float]:
    """Middle and spread of responses; a spread of 1 where all are equal."""
    spread = float(np.std(y))
    return float(np.mean(y)), spread if spread > 1e-12 * max(1.0, float(np.abs(y).max())) else 1.0


def squares_apart(a: Floats, b: Floats) -> Floats:
    """[n, m, c] squared differences, column by column, of a [n, c] and b [m, c]."""
    return np.asarray((a[:, None, :] - b[None, :, :]) ** 2, np.float64)
