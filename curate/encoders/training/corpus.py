"""Batches for the head: real pairs, and pairs made up from what the classifier knows of its classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from curate.encoders.training.classes import Classes
from curate.encoders.training.features import Floats, Towers
from curate.encoders.training.sources import Pair
from curate.encoders.training.split import Split

Ints = npt.NDArray[np.int64]

MAX_KEYWORDS, LONGEST_KEYWORD = 6, 40
FIRST_CAPTION = 0.6  # else a phrase such as "a photo of a ..."


@dataclass(frozen=True)
class Batch:
    """B pairs. Rows with equal `concept` or equal `text_id` belong together and are positives of each other."""

    features: Floats  # [B, 1280]
    texts: Floats  # [B, 384] unit
    concept: Ints  # [B]
    text_id: Ints  # [B]


@dataclass(frozen=True)
class Corpus:
    """The training pairs as arrays."""

    features: Floats  # [N, 1280]
    concept: Ints  # [N]
    captions: list[list[int]]  # rows of `texts`, by pair: the caption and phrases made of it
    keywords: list[list[int]]
    texts: Floats  # [M, 384] unit
    class_texts: list[list[int]]  # by class: its names and phrases made of them, none that a test asks for
    directions: Floats  # [1000, 1280] where a class lies from the mean, root mean square 1 in standard deviations

    @cached_property
    def mean(self) -> Floats:
        """[1280]"""
        mean: Floats = self.features.mean(0)
        return mean

    @cached_property
    def spread(self) -> Floats:
        """Standard deviation [1280], kept off zero."""
        spread: Floats = self.features.std(0) + np.float32(1e-3)
        return spread


class TextBook:
    """Hands out a row number for every distinct text."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def row(self, text: str) -> int:
        """The text's row."""
        return self.rows.setdefault(text, len(self.rows))


def make_corpus(pairs: Sequence[Pair], split: Split, features: Floats, classes: Classes, towers: Towers) -> Corpus:
    """The pairs that `split` lets train; `features` [len(pairs), 1280] are those of all pairs."""
    book, chosen = TextBook(), [pairs[i] for i in split.training]
    captions = [[book.row(text) for text in phrases(pair)] for pair in chosen]
    keywords = [[book.row(text) for text in keywords_of(pair, split)] for pair in chosen]
    allowed = [[name for name in names if split.allows(name)] for names in classes.names]
    class_texts = [[book.row(text) for name in names for text in (name, f"a photo of a {name}")] for names in allowed]
    features = features[split.training]
    concept = np.unique([pair.concept for pair in chosen], return_inverse=True)[1].astype(np.int64)
    scaled = classes.weight / np.sqrt(((classes.weight / (features.std(0) + 1e-3)) ** 2).mean(1, keepdims=True))
    vectors = towers.texts(list(book.rows))
    return Corpus(features, concept, captions, keywords, vectors, class_texts, scaled)


def phrases(pair: Pair) -> list[str]:
    """The caption, and phrases that people put around such a caption."""
    caption = pair.captions[0]
    return [caption] if pair.source == "gimp" else [caption, f"a photo of a {caption}", f"a drawing of {caption}"]


def keywords_of(pair: Pair, split: Split) -> list[str]:
    """The pair's keywords, and its caption followed by the first three of them."""
    words = [word for word in pair.captions[1:] if split.allows(word) and len(word) < LONGEST_KEYWORD]
    return [*words[:MAX_KEYWORDS], f"{pair.captions[0]}, {', '.join(words[:3])}"] if words else []


def real_batch(corpus: Corpus, rows: Ints, dice: np.random.Generator, keywords: float) -> Batch:
    """Pairs of the corpus; a share `keywords` of them shows a keyword in place of the caption."""
    text_id = np.array([_text_of(corpus, int(row), dice, keywords) for row in rows])
    return Batch(corpus.features[rows], corpus.texts[text_id], corpus.concept[rows], text_id)


def _text_of(corpus: Corpus, row: int, dice: np.random.Generator, keywords: float) -> int:
    if corpus.keywords[row] and dice.random() < keywords:
        return int(dice.choice(corpus.keywords[row]))
    captions = corpus.captions[row]
    return captions[0] if dice.random() < FIRST_CAPTION else int(dice.choice(captions))


def made_up_batch(corpus: Corpus, size: int, dice: np.random.Generator) -> Batch:
    """Features as a photo of a class might have them, with the class's name: the only photos there are.

    A point 1.5 to 3.5 deviations from the mean along the class's direction, plus most of how some real
    picture differs from the mean.
    """
    named = np.flatnonzero([bool(texts) for texts in corpus.class_texts])
    kinds = dice.choice(named, size=size)
    reach = dice.uniform(1.5, 3.5, size=(size, 1)).astype(np.float32)
    noise = corpus.features[dice.integers(0, len(corpus.features), size)] - corpus.mean
    features = np.maximum(corpus.mean + reach * corpus.directions[kinds] + np.float32(0.7) * noise, 0)
    text_id = np.array([int(dice.choice(corpus.class_texts[kind])) for kind in kinds])
    concept = corpus.concept.max() + 1 + kinds
    return Batch(features, corpus.texts[text_id], concept, text_id)


def joined(first: Batch, second: Batch) -> Batch:
    """The rows of both."""
    return Batch(*(np.concatenate(pair) for pair in zip(vars(first).values(), vars(second).values(), strict=True)))
