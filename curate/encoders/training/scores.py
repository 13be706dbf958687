"""Retrieval scores: recall both ways, and how pure the neighbours of a picture are."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from curate.encoders.training.features import Bools, Floats

Ints = npt.NDArray[np.int64]
DEPTHS = (1, 5, 10)


def image_to_text(similarity: Floats, answer: Ints, asked: Bools | None = None) -> list[float]:
    """Recall in per cent at DEPTHS. `similarity` [images, captions]; `answer` [images] is the right caption's
    column; only images whose caption is `asked` [captions] count. Ties count against us."""
    right = similarity[np.arange(len(answer)), answer][:, None]
    rank = (similarity >= right).sum(1) - 1
    return _recall(rank if asked is None else rank[asked[answer]])


def text_to_image(similarity: Floats, answer: Ints, asked: Bools | None = None) -> list[float]:
    """Recall in per cent at DEPTHS: whether one of the caption's images is among the first."""
    columns = range(similarity.shape[1]) if asked is None else np.flatnonzero(asked)
    best = [(column, similarity[answer == column, column].max()) for column in columns]
    rank = np.array([(similarity[answer != column, column] >= most).sum() for column, most in best])
    return _recall(rank)


def _recall(rank: Ints) -> list[float]:
    return [float(100 * (rank < depth).mean()) for depth in DEPTHS]


def chance(answer: Ints, captions: int) -> tuple[list[float], list[float]]:
    """What both recalls are for a random order."""
    images = len(answer)
    counts = np.bincount(answer, minlength=captions)
    per_text = [100 * float(np.mean([1 - _none_of(images, int(n), depth) for n in counts])) for depth in DEPTHS]
    return [100 * depth / captions for depth in DEPTHS], per_text


def _none_of(images: int, right: int, drawn: int) -> float:
    """Probability that none of `right` images is among `drawn` of `images`."""
    return float(np.prod([(images - right - i) / (images - i) for i in range(drawn)]))


def neighbours_of_same_class(vectors: Floats, classes: Sequence[str], smallest: int = 6) -> tuple[float, float]:
    """Share in per cent of the 5 nearest other images that have the image's class, and the same by chance.
    Only images of classes with at least `smallest` members ask; all answer."""
    names = np.array(classes)
    size = np.array([(names == name).sum() for name in names])
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :5]
    hits = (names[nearest] == names[:, None]).mean(1)
    asking = size >= smallest
    return float(100 * hits[asking].mean()), float(100 * ((size - 1) / (len(names) - 1))[asking].mean())


def markdown(rows: Sequence[tuple[str, Sequence[float]]], head: Sequence[str]) -> str:
    """A table of numbers with one decimal."""
    number: Callable[[float], str] = "{:.1f}".format
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {name} | {' | '.join(map(number, values))} |" for name, values in rows]
    return "\n".join(lines)
