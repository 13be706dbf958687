"""`counting`: how many objects a composed picture shows.

A block has N counts, one query of each and the demonstrations of all of them. Its queries all show copies of one object, and
so do the demonstrations of one round, a different one: neither the object nor what the demonstrations say tells the
count. With made-up words (`answers: pseudo`) the demonstrations are the only place that says which word means how many.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from curate.benches import Item, Metric
from curate.benchmarks.arranging import Arrangement, arrangements
from curate.benchmarks.composing import MOST, Cutout
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.kinds.naming import made_up
from curate.benchmarks.material import Material
from curate.benchmarks.studio import ComposedSettings, Studio, distinct
from curate.episodes.settings import Ways
from curate.schema import Image, Shot
from curate.seeding import rng

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
QUESTIONS = {"pseudo": "Which word goes with this picture?"}
QUESTION = "How many objects are in this picture?"


class CountingSettings(ComposedSettings):
    """Classes are numbers of objects."""

    ways: Ways = 4
    """Counts a question chooses between."""
    counts: list[Annotated[int, Field(ge=1, le=MOST)]] = Field(default=[1, 2, 3, 4, 5, 6])
    """Numbers of objects that are asked about."""
    distractors: Literal["random", "near"] = "random"
    """The other counts: any; or those next to one another, such as 3, 4, 5, 6."""
    answers: Literal["digits", "words", "pseudo"] = "digits"
    """"4", "four", or a made-up word that only the demonstrations explain."""
    question: str = ""
    """What is asked; empty takes one that fits the answers."""

    @model_validator(mode="after")
    def _check_counts(self) -> "CountingSettings":
        if len(set(self.counts)) < max(2, self.ways):
            raise ValueError(f"counts: {len(set(self.counts))} different numbers are too few for {self.ways} ways")
        return self


@dataclass(frozen=True)
class Block:
    """N counts that are asked against each other; K demonstrations of each, fewer shots are a beginning of them."""

    name: str
    labels: tuple[str, ...]  # [N] numbers in digits
    answers: tuple[str, ...]  # [N] what is said for them
    queries: tuple[Shot, ...]  # [N]
    support: tuple[tuple[Shot, ...], ...]  # [N][K]


class Counting:
    """How many objects a picture shows."""

    settings = CountingSettings
    metric: Metric = "choice"
    title = "How many objects does the picture show?"

    def build(self, spec: CountingSettings, material: Material, seed: int) -> Made:
        """Every question at every number of shots, a demonstration of its count in every position."""
        studio = Studio(spec, seed)
        blocks = list(_blocks(spec, studio, material))
        studio.compare([(query, shot) for block in blocks for query in block.queries for row in block.support for shot in row])
        items = [item for block in blocks for shots in spec.shots for item in _items(block, shots, studio)]
        return Made(items, {}, studio.pictures, studio.licences)


def _blocks(spec: CountingSettings, studio: Studio, material: Material) -> Iterator[Block]:
    asked, shown = studio.cast(material)
    words = max(made_up(material, spec.name, studio.seed).values(), key=len)  # of one length: none is likelier for being short
    for number in range(max(1, spec.queries // spec.ways)):
        name = f"b{number:04d}"
        dice = rng(studio.seed, "bench.counting", f"{spec.name}/{name}")
        counts = _counts(spec, number, dice)
        answers = _answers(spec, counts, words, dice)
        query, rounds = next(asked), distinct(shown, max(spec.shots))
        turns = [("query", query), *((f"shot{at}", cutout) for at, cutout in enumerate(rounds))]
        made = [
            [_shot(spec, cutout, studio.scene(cutout, n, f"{name}/{key}"), n, said) for key, cutout in turns]
            for n, said in zip(counts, answers, strict=True)
        ]
        labels = tuple(map(str, counts))
        yield Block(name, labels, answers, tuple(row[0] for row in made), tuple(tuple(row[1:]) for row in made))


def _counts(spec: CountingSettings, number: int, dice: np.random.Generator) -> list[int]:
    """The counts of a block, in random order; over many blocks every run of neighbours, or every count, equally often."""
    known = sorted(set(spec.counts))
    if spec.distractors == "near":
        start = number % (len(known) - spec.ways + 1)
        chosen = known[start : start + spec.ways]
    else:
        chosen = dice.permutation(known)[: spec.ways].tolist()
    return [int(count) for count in dice.permutation(chosen).tolist()]


def _answers(spec: CountingSettings, counts: list[int], words: list[str], dice: np.random.Generator) -> tuple[str, ...]:
    if spec.answers == "digits":
        return tuple(map(str, counts))
    if spec.answers == "words":
        return tuple(WORDS[count] for count in counts)
    return tuple(words[at] for at in dice.choice(len(words), size=len(counts), replace=False).tolist())


def _shot(spec: CountingSettings, cutout: Cutout, image: Image, count: int, answer: str) -> Shot:
    question = spec.question or QUESTIONS.get(spec.answers, QUESTION)
    return Shot("support", None, cutout.demonstration.id, "", (image,), question, answer, str(count))


def _items(block: Block, shots: int, studio: Studio) -> Iterator[Item]:
    ways = len(block.labels)
    for arrangement in arrangements(block.name, ways, shots, studio.seed, with_options=False):
        for place in range(ways):
            yield _item(block, place, shots, arrangement, studio)


def _item(block: Block, place: int, shots: int, arrangement: Arrangement, studio: Studio) -> Item:
    group, query = f"{block.name}-q{place}", block.queries[place]
    turns = [studio.beside(query, block.support[of][before], of == place) for of, before in arrangement.turns]
    choices = tuple(block.answers[at] for at in arrangement.options[-1])
    episode = studio.episode(f"{group}-{shots}-{arrangement.name}", "counting", block.labels[place], turns, query)
    return Item(episode.id, group, shots, len(choices), choices, (query.answer,), episode)


KINDS.register("counting")(Counting())
