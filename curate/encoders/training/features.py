"""Pictures and texts as features of the frozen towers, computed once and kept in a cache folder."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate.drawings import Renderer
from curate.encoders.offline import CONTEXT, PREPROCESS, bare_model
from curate.encoders.openclip import PictureShaper
from curate.encoders.prefetch import ahead
from curate.encoders.training.sources import Pair
from curate.encoders.wheels import text_tower_folder
from curate.images import BadImage, open_rgb

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

RENDERED = 320  # pixels; drawings are rendered somewhat larger than the tower reads them
PICTURES, TEXTS = 8, 32  # in one forward pass


def open_picture(path: Path) -> "Picture":
    """A picture file as RGB on white, drawings rendered; BadImage when it is unusable. For one thread."""
    data = path.read_bytes()
    return open_rgb(_renderer().render(data) if path.suffix == ".svg" else data)


@cache
def _renderer() -> Renderer:
    return Renderer(RENDERED)


class Towers:
    """The two frozen towers and the cache of what they said."""

    def __init__(self, folder: Path) -> None:
        from open_clip.tokenizer import HFTokenizer

        self._cache = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._model: Any = bare_model()
        self._shape = PictureShaper(PREPROCESS)
        self._tokenize = HFTokenizer(str(text_tower_folder()), context_length=CONTEXT)
        self._text_file = folder / "texts.npz"
        self._texts = self._known_texts()

    def images(self, pairs: Sequence[Pair], label: str) -> tuple[Floats, Bools]:
        """Pooled features [N, 1280] of the pairs' pictures, and which were readable; kept in the cache as `label`."""
        file = self._cache / f"{label}.npz"
        names = hashlib.sha256("\n".join(f"{p.source} {p.path.name}" for p in pairs).encode()).hexdigest()
        if file.exists() and str((held := np.load(file, allow_pickle=False))["names"]) == names:
            return held["features"], held["readable"]
        features, readable = self._compute(pairs)
        np.savez(file, features=features, readable=readable, names=names)
        return features, readable

    def _compute(self, pairs: Sequence[Pair]) -> tuple[Floats, Bools]:
        import torch

        features = np.zeros((len(pairs), 1280), np.float32)
        readable = np.zeros(len(pairs), np.bool_)
        pixels = ahead(self._pixels, pairs)
        with torch.inference_mode():
            for start in range(0, len(pairs), PICTURES):
                some = [(i, next(pixels)) for i in range(start, min(start + PICTURES, len(pairs)))]
                good = [(i, shown) for i, shown in some if shown is not None]
                rows = [i for i, _ in good]
                if rows:
                    batch = torch.from_numpy(np.stack([shown for _, shown in good])).permute(0, 3, 1, 2)
                    features[rows] = self._model.visual.trunk(self._shape.normalise(batch)).numpy()
                    readable[rows] = True
        return features, readable

    def _pixels(self, pair: Pair) -> npt.NDArray[np.uint8] | None:
        try:
            return self._shape(open_picture(pair.path))
        except BadImage:
            return None

    def texts(self, texts: Sequence[str]) -> Floats:
        """Unit sentence vectors [N, 384]; kept in the cache as well."""
        missing = sorted(set(texts) - set(self._texts), key=lambda text: (len(text), text))
        for start in range(0, len(missing), TEXTS):
            some = missing[start : start + TEXTS]
            self._texts.update(zip(some, self._text_batch(some), strict=True))
        if missing:
            self._keep_texts()
        return np.stack([self._texts[text] for text in texts])

    def _known_texts(self) -> dict[str, Floats]:
        if not self._text_file.exists():
            return {}
        held = np.load(self._text_file, allow_pickle=False)
        return dict(zip(json.loads(str(held["texts"])), held["vectors"], strict=True))

    def _keep_texts(self) -> None:
        vectors = np.stack(list(self._texts.values()))
        np.savez(self._text_file, vectors=vectors, texts=json.dumps(list(self._texts)))

    def _text_batch(self, texts: list[str]) -> Floats:
        import torch

        with torch.inference_mode():
            tokens = self._tokenize(texts)
            tokens = tokens[:, : int((tokens != 0).sum(1).max())]  # MiniLM pads with 0
            tower = self._model.text
            mask = (tokens != 0).long()
            pooled = tower.pooler(tower.transformer(input_ids=tokens, attention_mask=mask), mask)
            unit: Floats = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return unit
