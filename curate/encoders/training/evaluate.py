"""Judges the shipped encoder, through its public interface, on pictures that its head never saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from curate.encoders.base import Encoder
from curate.encoders.load import load_encoder
from curate.encoders.training.classes import Classes, conse, imagenet_classes
from curate.encoders.training.features import Bools, Floats, Towers, open_picture
from curate.encoders.training.scores import (
    Ints,
    chance,
    image_to_text,
    markdown,
    neighbours_of_same_class,
    text_to_image,
)
from curate.encoders.training.sources import TRAINING, Pair, is_photo, normalise, tuxpaint
from curate.encoders.training.split import Split, is_development, split_pairs
from curate.images import BadImage

HEAD = ("", "i→t R@1", "R@5", "R@10", "t→i R@1", "R@5", "R@10")


@dataclass(frozen=True)
class Task:
    """Pictures to be matched with captions."""

    pairs: list[Pair]  # readable ones
    keys: list[str]  # distinct captions, normalised
    captions: list[str]  # one wording of each
    answer: Ints  # [pictures] index of the right caption

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> "Task":
        """The task of telling these pairs apart."""
        wording = {normalise(pair.captions[0]): pair.captions[0] for pair in reversed(pairs)}
        keys = sorted(wording)
        column = {key: i for i, key in enumerate(keys)}
        answer = np.array([column[normalise(pair.captions[0])] for pair in pairs])
        return cls(list(pairs), keys, [wording[key] for key in keys], answer)

    def score(self, images: Floats, texts: Floats, asked: Bools | None = None) -> list[float]:
        """Recall in per cent both ways, six numbers."""
        similarity = images @ texts.T
        return image_to_text(similarity, self.answer, asked) + text_to_image(similarity, self.answer, asked)


def evaluate(data: Path, cache: Path) -> str:
    """The report, as Markdown. Takes about two minutes; `cache` spares the towers' features for ConSE."""
    test = list(tuxpaint(data))
    pairs = [pair for read in TRAINING.values() for pair in read(data)]
    split, towers = split_pairs(pairs, test), Towers(cache)
    classes, encoder = imagenet_classes(towers), load_encoder("offline")
    photos, vectors = _embedded([pair for pair in test if is_photo(pair)], encoder)
    held, held_vectors = _embedded([pairs[i] for i in split.held_out], encoder)
    return "\n\n".join(
        [
            "## Held-out photos: tuxpaint-stamps-default",
            _about(photos, split, classes),
            markdown(_photo_rows(photos, vectors, encoder, classes, towers), HEAD),
            "## Held-out concepts: drawings of things that training never named",
            f"{len(held.pairs)} pictures, {len(held.keys)} captions.",
            markdown(_concept_rows(held, held_vectors, encoder, classes, towers), HEAD),
            "## Photos beside photos: share of the five nearest that lie in the same folder",
            markdown(_purity_rows(photos, vectors), ("", "P@5")),
        ]
    )


def _embedded(pairs: Sequence[Pair], encoder: Encoder) -> tuple[Task, Floats]:
    """The readable pairs as a task, and their vectors [N, D]."""
    kept, vectors = [], []
    for pair in pairs:
        try:
            picture = open_picture(pair.path)
        except BadImage:
            continue
        kept.append(pair)
        vectors.append(encoder.encode_images([picture])[0])
    return Task.of(kept), np.stack(vectors)


def _is_class_name(task: Task, classes: Classes) -> Bools:
    names = {normalise(name) for some in classes.names for name in some}
    return np.array([key in names for key in task.keys])


def _about(task: Task, split: Split, classes: Classes) -> str:
    named = int(_is_class_name(task, classes).sum())
    return (
        f"{len(task.pairs)} pictures, {len(task.keys)} captions. Training pairs: {len(split.training)}; left out because "
        f"their caption is one of the test's or of a held-out concept: {len(split.overlap)}. Captions that are the name of "
        f"an ImageNet class, which the wheel's classifier knows: {named}; the others are called novel."
    )


def _photo_rows(
    task: Task, vectors: Floats, encoder: Encoder, classes: Classes, towers: Towers
) -> list[tuple[str, list[float]]]:
    texts = encoder.encode_texts(task.captions)
    features, _ = towers.images(task.pairs, "photos")
    by_conse, minilm = conse(features, classes), towers.texts(task.captions)
    novel = ~_is_class_name(task, classes)
    looked_at = np.array([is_development(key) for key in task.keys])
    return [
        ("chance", list(chain(*chance(task.answer, len(task.keys))))),
        ("ConSE (no training)", task.score(by_conse, minilm)),
        ("offline encoder", task.score(vectors, texts)),
        ("ConSE, novel captions", task.score(by_conse, minilm, novel)),
        ("offline encoder, novel captions", task.score(vectors, texts, novel)),
        ("offline encoder, captions no choice looked at", task.score(vectors, texts, ~looked_at)),
    ]


def _concept_rows(
    task: Task, vectors: Floats, encoder: Encoder, classes: Classes, towers: Towers
) -> list[tuple[str, list[float]]]:
    features, _ = towers.images(task.pairs, "held-out")
    return [
        ("chance", list(chain(*chance(task.answer, len(task.keys))))),
        ("ConSE (no training)", task.score(conse(features, classes), towers.texts(task.captions))),
        ("offline encoder", task.score(vectors, encoder.encode_texts(task.captions))),
    ]


def _purity_rows(task: Task, vectors: Floats) -> list[tuple[str, list[float]]]:
    folders = [pair.group for pair in task.pairs]
    _, towers = _embedded(task.pairs, load_encoder("offline", image_space="tower"))
    joint, by_chance = neighbours_of_same_class(vectors, folders)
    return [
        ("chance", [by_chance]),
        ("--image-space joint", [joint]),
        ("--image-space tower", [neighbours_of_same_class(towers, folders)[0]]),
    ]
