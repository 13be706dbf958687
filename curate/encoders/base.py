"""What the rest of the house knows about an encoder: its name, its identity, and two ways in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Vectors = npt.NDArray[np.float32]  # [B, D]
Pixels = npt.NDArray[np.uint8]  # [B, H, W, 3]

ImageSpace = Literal["joint", "tower"]
"""joint: image vectors comparable with text vectors; tower: the image tower's own features."""


Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""What the model computes in. auto: float16 on an accelerator, float32 on a CPU."""


class Encoder(Protocol):
    """Maps pictures and texts to unit vectors. Texts are always mapped into the joint space."""

    name: str
    dim: int  # length of image vectors
    text_dim: int  # length of text vectors; differs from `dim` in tower space
    fingerprint: str  # hash of weights, preprocessing and image space: equal ones, comparable vectors
    device: str  # cpu, cuda or mps

    def encode_images(self, pictures: "Sequence[Picture]") -> Vectors:
        """RGB pictures (alpha goes onto white) as float32 [B, dim] of unit length."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Texts as float32 [B, text_dim] of unit length; what exceeds the context is cut off."""
