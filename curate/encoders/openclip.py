"""One code path for every open_clip model, the embedded offline encoder among them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from curate.encoders.base import ImageSpace, Pixels, Precision, Vectors
from curate.errors import ConfigError
from curate.images import to_rgb
from curate.storage import hash_json

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torch import Tensor, nn

T = TypeVar("T")

BATCH = 32
"""Texts in one forward pass."""
IMAGES_ON_CPU, IMAGES_ON_ACCELERATOR = 8, 128
"""Pictures in one forward pass. On a CPU eight fit its caches and are half as fast again as 32."""


@dataclass(frozen=True)
class LoadedModel:
    """What a loader hands over: an open_clip model on the CPU, how it reads, and what it is called."""

    name: str
    model: "nn.Module"
    preprocess: dict[str, Any]  # fields of open_clip's PreprocessCfg
    tokenizer: "Callable[[list[str]], Tensor]"  # texts -> token ids [B, context]


class OpenClipEncoder:
    """An open_clip model as an Encoder (see curate.encoders.base)."""

    def __init__(
        self, loaded: LoadedModel, image_space: ImageSpace = "joint", device: str = "", precision: Precision = "auto"
    ) -> None:
        self.name, self.image_space = loaded.name, image_space
        self.device = device or best_device()
        self.precision = _precision(precision, self.device)
        self.fingerprint = _fingerprint(loaded, image_space)
        self._shape = PictureShaper(loaded.preprocess)
        self._tokenize = loaded.tokenizer
        self._model = loaded.model.eval().to(self.device)
        self._visual = _image_tower(self._model, image_space)
        self.batch = IMAGES_ON_CPU if self.device == "cpu" else IMAGES_ON_ACCELERATOR
        self.input_size = self._shape.size
        self.dim = self.encode_pixels(np.zeros((1, *self.input_size, 3), np.uint8)).shape[1]
        self.text_dim = self._encode_tokens(self._tokenize(["-"])).shape[1]

    def encode_images(self, pictures: "Sequence[Picture]") -> Vectors:
        """RGB pictures (alpha goes onto white) as float32 [B, dim] of unit length."""
        chunks = [self.encode_pixels(np.stack([self.pixels(p) for p in some])) for some in batches(pictures, self.batch)]
        return np.concatenate(chunks) if chunks else np.zeros((0, self.dim), np.float32)

    def pixels(self, picture: "Picture") -> Pixels:
        """A picture as the tower's input size [H, W, 3], before normalisation. Safe to call from threads."""
        return self._shape(to_rgb(picture))

    def encode_pixels(self, pixels: Pixels) -> Vectors:
        """uint8 [B, H, W, 3] from `pixels` as float32 [B, dim] of unit length, in one forward pass."""
        import torch

        with torch.inference_mode(), self._autocast():
            # [B, H, W, 3] seen as [B, 3, H, W] is channels-last in memory, which convolutions like best.
            batch = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            return _unit(self._visual(self._shape.normalise(batch)))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Texts as float32 [B, text_dim] of unit length; what exceeds the context is cut off.

        A text's vector does not depend on its neighbours: texts of like length go through the model
        together, always BATCH of them.
        """
        out = np.zeros((len(texts), self.text_dim), np.float32)
        if texts:
            tokens = self._tokenize(list(texts))  # [B, context]
            lengths = self._lengths(tokens)
            for length in np.unique(lengths):
                rows = np.flatnonzero(lengths == length)
                out[rows] = self._encode_tokens(tokens[rows, : int(length)])
        return out

    def _lengths(self, tokens: "Tensor") -> npt.NDArray[np.int64]:
        """Tokens to compute for each text, a multiple of 8. Only Hugging Face towers mask their padding."""
        config = getattr(getattr(self._model, "text", None), "config", None)
        pad = getattr(config, "pad_token_id", None)
        used = tokens.shape[1] if pad is None else (tokens != pad).sum(1).numpy()
        rounded = -(-np.broadcast_to(used, (len(tokens),)) // 8) * 8
        capped: npt.NDArray[np.int64] = np.minimum(rounded, tokens.shape[1])
        return capped

    def _encode_tokens(self, tokens: "Tensor") -> Vectors:
        """Token ids [B, L] as float32 [B, text_dim], in passes of exactly BATCH rows."""
        import torch

        missing = -len(tokens) % BATCH
        tokens = torch.cat([tokens, tokens[-1:].expand(missing, -1)]).to(self.device)
        with torch.inference_mode(), self._autocast():
            chunks = [_unit(self._model.encode_text(some)) for some in tokens.split(BATCH)]
        return np.concatenate(chunks)[: len(chunks) * BATCH - missing]

    def _autocast(self) -> Any:
        import torch

        kind = torch.bfloat16 if self.precision == "bfloat16" else torch.float16
        return torch.autocast(self.device.partition(":")[0], kind, enabled=self.precision != "float32")


def _precision(wanted: Precision, device: str) -> Precision:
    """On a CPU bfloat16 is faster where the chip has it and much slower elsewhere, so it is not chosen unasked."""
    if wanted == "auto":
        return "float32" if device == "cpu" else "float16"
    return wanted


class PictureShaper:
    """open_clip's own preprocessing in two halves: picture to bytes, then normalisation by the batch."""

    def __init__(self, config: dict[str, Any]) -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        steps = image_transform_v2(PreprocessCfg(**config), is_train=False).transforms
        self._on_picture, self._normalise = steps[:-2], steps[-1]
        self.size: tuple[int, int] = PreprocessCfg(**config).input_size[1:]

    def __call__(self, picture: "Picture") -> Pixels:
        """An RGB picture as [H, W, 3]."""
        for step in self._on_picture:
            picture = step(picture)
        return np.asarray(picture, dtype=np.uint8)

    def normalise(self, batch: "Tensor") -> "Tensor":
        """uint8 [B, 3, H, W] as the float32 that the tower wants."""
        return self._normalise(batch.float().div_(255.0))


def best_device() -> str:
    """cuda or mps where there is one, else cpu."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`items` in runs of `size`, the last one shorter."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _image_tower(model: "nn.Module", image_space: ImageSpace) -> "Callable[[Tensor], Tensor]":
    """The function from pixels to image features in the wanted space; it may change `model`."""
    visual = model.visual
    if image_space == "joint":
        return lambda batch: model.encode_image(batch)
    if hasattr(visual, "trunk"):  # open_clip's timm adapter
        return lambda batch: visual.trunk(batch)
    if getattr(visual, "proj", None) is not None:  # open_clip's own vision transformer
        visual.proj = None
        return lambda batch: visual(batch)
    raise ConfigError("this model has no projection to leave out; use --image-space joint")


def _unit(features: "Tensor") -> Vectors:
    import torch

    unit: Vectors = torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy()
    return unit


def _fingerprint(loaded: LoadedModel, image_space: ImageSpace) -> str:
    """SHA-256 over every weight, the preprocessing and the space. Devices and names leave it alone."""
    import hashlib

    digest = hashlib.sha256(hash_json([loaded.preprocess, image_space]).encode())
    for key, value in sorted(loaded.model.state_dict().items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(-1).numpy().tobytes())
    return digest.hexdigest()
