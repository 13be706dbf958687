"""What a part of embeddings is made of; curate.encoders.vectors reads it back."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curate.encoders.base import Vectors

Vector = npt.NDArray[np.float32]  # [D]


def as_npy(vectors: Vectors) -> bytes:
    """Vectors as the bytes of a float16 .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(vectors, dtype=np.float16), allow_pickle=False)
    return buffer.getvalue()


def mean_unit(vectors: Sequence[Vector]) -> Vector:
    """The direction of the mean of unit vectors: one vector for a record with several images."""
    if len(vectors) == 1:
        return vectors[0]
    mean: Vector = np.mean(np.stack(vectors), axis=0, dtype=np.float32)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length > 0 else mean


def filled(vectors: Sequence[Vector | None], dim: int) -> Vectors:
    """Vectors as rows [n, dim], zeros for None."""
    out = np.zeros((len(vectors), dim), np.float32)
    for row, vector in zip(out, vectors, strict=True):
        if vector is not None:
            row[:] = vector
    return out
