"""What every sample of a plan costs once rendered, measured once and kept beside the plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int32]
COLUMNS = ("tokens", "images", "image_tokens", "supervised", "shots")


@dataclass(frozen=True)
class Lengths:
    """Measures by sample number; all zero where a sample cannot be used."""

    tokens: Counts  # [S] pictures' tokens included
    images: Counts  # [S] pictures that remain
    image_tokens: Counts  # [S]
    supervised: Counts  # [S] tokens with a weight above zero
    shots: Counts  # [S] demonstrations that remain
    digest: str = ""  # of all of these and of the rendering that gave them
    unusable: dict[str, int] = field(default_factory=dict)  # reason -> samples

    @classmethod
    def of(cls, columns: Mapping[str, Any], digest: str = "") -> "Lengths":
        """Lengths of plain columns; those that are not given are zero."""
        zeros = np.zeros(len(columns["tokens"]), np.int32)
        tokens, images, image_tokens, supervised, shots = (np.asarray(columns.get(n, zeros), np.int32) for n in COLUMNS)
        return cls(tokens, images, image_tokens, supervised, shots, digest)

    def __len__(self) -> int:
        return len(self.tokens)
