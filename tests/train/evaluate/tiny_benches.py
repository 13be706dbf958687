"""Small benchmarks whose pictures are plain colours, and readers that see colours, or only words."""

import io
import itertools
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from curate.benches import Bench, BenchManifest, Item, write_bench
from curate.schema import Episode, Image, Provenance, Shot
from curate.storage import Folder, sha256
from train.evaluate.records import Ask, Turn

CLASSES = 12
PICTURES = 4
"""Of each class."""


@cache
def coloured(kind: int, number: int) -> bytes:
    """A picture of a class: its colour, a little off."""
    colour = (kind * 20 + number, 240 - kind * 20, (kind % 3) * 100)
    out = io.BytesIO()
    Pillow.new("RGB", (24, 16), colour).save(out, "PNG")
    return out.getvalue()


def shown(kind: int, number: int) -> tuple[Image, ...]:
    return (Image(f"{sha256(coloured(kind, number))}.png", 24, 16, "0" * 16),)


def lettered(kind: int, number: int, role: str, options: Sequence[int]) -> Shot:
    """A turn that lists classes and is answered by a letter."""
    names = tuple(f"class{at}" for at in options)
    question = "Which? " + " ".join(f"{letter}. {name}" for letter, name in zip("ABCD", names, strict=False))
    answer = "ABCD"[list(options).index(kind)]
    similarity = None if role == "query" else float(role == "positive")
    return Shot(role, similarity, f"d{kind}-{number}", "", shown(kind, number), question, answer, f"class{kind}", names)  # type: ignore[arg-type]


def worded(kind: int, number: int, role: str, word: str) -> Shot:
    """A turn that is answered by a word."""
    return Shot(role, None, f"d{kind}-{number}", "", shown(kind, number), "What?", word, word)  # type: ignore[arg-type]


def episode(name: str, shots: Sequence[Shot], query: Shot, concept: str) -> Episode:
    return Episode(
        name,
        "category",
        concept,
        "choice",
        tuple(shots),
        query,
        "test",
        "drawn",
        "0" * 16,
        0,
        "test",
        "CC0-1.0",
        Provenance("test", name),
    )


def letter_items(groups: int, shots: Sequence[int], ways: int = 2) -> list[Item]:
    """N-way K-shot by letters: every group in each position of the positive, options as drawn and reversed."""
    items = []
    for count, group in itertools.product(shots, range(groups)):
        kinds = [(group + 5 * way) % CLASSES for way in range(ways)]
        for turn, flip in itertools.product(range(ways if count else 1), (1, -1)):
            order = [kinds[(at + turn) % ways] for at in range(ways)] * count
            options = kinds[::flip]
            demonstrations = [
                lettered(
                    kind, 1 + at // ways, "positive" if kind == kinds[0] else "negative", options if at % 2 else options[::-1]
                )
                for at, kind in enumerate(order)
            ]
            query = lettered(kinds[0], 0, "query", options)
            name = f"q{group}-k{count}-r{turn}{'+' if flip > 0 else '-'}"
            made = episode(name, demonstrations, query, f"class{kinds[0]}")
            items.append(Item(name, f"q{group}", count, ways, tuple("ABCD"[:ways]), (query.answer,), made))
    return items


def word_items(groups: int, shots: Sequence[int], choices: bool = True) -> list[Item]:
    """Two classes named by made-up words, or by words that the model must write."""
    items = []
    for count, group in itertools.product(shots, range(groups)):
        pair = [(group + 5 * way) % CLASSES for way in range(2)]
        words = {pair[0]: f"dax{group}", pair[1]: f"wug{group}"}
        for turn in range(2):
            order = (pair if turn else pair[::-1]) * count
            turns = [
                worded(kind, 1 + at // 2, "positive" if kind == pair[0] else "negative", words[kind])
                for at, kind in enumerate(order)
            ]
            made = episode(f"q{group}-k{count}-r{turn}", turns, worded(pair[0], 0, "query", words[pair[0]]), words[pair[0]])
            options = tuple(words.values()) if choices else ()
            items.append(Item(made.id, f"q{group}", count, 2 if choices else 0, options, (words[pair[0]],), made))
    return items


def tiny_bench(place: Path, items: Sequence[Item], name: str = "tiny", metric: str = "choice") -> Bench:
    """A frozen benchmark of these items."""
    pictures = {shown(kind, at)[0].ref: coloured(kind, at) for kind in range(CLASSES) for at in range(PICTURES)}
    baselines = {"1": {"copy-first": 0.5, "knn": 1.0}}
    manifest = BenchManifest(1, name, "1", "Which colour?", "choice", metric, "colours", {}, {}, baselines, {})  # type: ignore[arg-type]
    return write_bench(Folder.of(place / name), manifest, items, pictures)


class Seer:
    """Says what the demonstration of the most similar colour says; without pictures the last one; guesses A at zero shots."""

    name = "seer"

    def __init__(self, weights: str = "w", most: int = 1000) -> None:
        self.weights, self.most = weights, most
        self.asked: list[Ask] = []

    def facts(self) -> dict[str, Any]:
        return {"weights": self.weights}

    def likelihoods(self, asks: Sequence[Ask]) -> list[list[float]]:
        self.asked += asks
        return [self._scores(ask) if len(ask.demonstrations) <= self.most else [] for ask in asks]

    def generate(self, asks: Sequence[Ask], max_new_tokens: int = 32) -> list[str | None]:
        self.asked += asks
        return [self._says(ask) if len(ask.demonstrations) <= self.most else None for ask in asks]

    def _scores(self, ask: Ask) -> list[float]:
        said = self._says(ask)
        return [-0.25 if choice == said else -3.0 - at / 7 for at, choice in enumerate(ask.choices)]

    def _says(self, ask: Ask) -> str:
        if not ask.demonstrations:
            return "A"
        near = (
            min(ask.demonstrations, key=lambda turn: self._distance(turn, ask.query))
            if ask.demonstrations[0].pictures
            else ask.demonstrations[-1]
        )
        told, asked = _options(near.question), {text: letter for letter, text in _options(ask.query.question).items()}
        return asked.get(told.get(near.answer, ""), near.answer)

    def _distance(self, one: Turn, other: Turn) -> float:
        return float(np.abs(_colour(one) - _colour(other)).sum())


class CopyLast(Seer):
    """Says what the last demonstration says."""

    name = "copy-last"

    def _says(self, ask: Ask) -> str:
        return ask.demonstrations[-1].answer if ask.demonstrations else "A"


def _options(question: str) -> dict[str, str]:
    return dict(re.findall(r"([A-D])\. (\w+)", question))


def _colour(turn: Turn) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return np.asarray(Pillow.open(io.BytesIO(turn.pictures[0].data)), np.float64).mean((0, 1))
