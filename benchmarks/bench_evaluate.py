"""Questions a second of a reader, trick by trick, against the model's class asked one choice at a time.

    python benchmarks/bench_evaluate.py MODEL [RUN] [--questions 8] [--threads 1]

RUN is a run with class-labelled demonstrations in several drawing styles (make demo). Asked are 2-way 1-shot questions in
their four arrangements: with letters for choices (one token each), and with made-up words that only the demonstrations
define (several tokens). Every contender answers the same questions; its scores are compared with the first one's.
"""

import argparse
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from common import say_machine

from curate.layout import Run
from curate.schema import Demonstration
from train.evaluate.reader import ReaderSettings, VlmReader
from train.evaluate.records import Ask, Picture, Turn

WORDS = (("dax", "wug"), ("blicket", "toma"), ("fendle", "mipo"), ("zorvic", "plun"))

CONTENDERS: dict[str, dict[str, object]] = {
    "the class, a choice at a time": {"way": "plain"},
    "scores and pictures only where wanted": {"way": "rows", "cache_mb": 0, "batch_tokens": 1},
    "+ tower's output remembered": {"way": "rows", "batch_tokens": 1},
    "+ choices share their prompt": {"way": "trees", "batch_tokens": 1},
    "+ batches of 4,096 positions": {"way": "trees"},
    "+ bfloat16 between tower and head": {"way": "trees", "dtype": "bfloat16"},
}


@dataclass(frozen=True)
class Pictures:
    """Pictures of a run by concept, two or more of each."""

    run: Run
    by_concept: dict[str, list[Demonstration]]

    @classmethod
    def of(cls, place: str) -> "Pictures":
        run, found = Run.at(place), defaultdict(list)
        for demonstration in run.demonstrations():
            if demonstration.images and demonstration.task == "category":
                found[demonstration.answer].append(demonstration)
        return cls(run, {name: some for name, some in found.items() if len(some) > 1})

    def shown(self, demonstration: Demonstration) -> Picture:
        image = demonstration.images[0]
        return Picture(image.ref, self.run.images.get(image.ref), image.width, image.height)


def asks_of(pictures: Pictures, questions: int, seed: int) -> dict[str, list[Ask]]:
    """Letters and made-up words: every question in both orders of its demonstrations and of its options or names."""
    dice, made = random.Random(seed), {"letters": list[Ask](), "words": list[Ask]()}
    for number in range(questions):
        pair = dice.sample(sorted(pictures.by_concept), 2)
        alike = dice.sample(pictures.by_concept[pair[0]], 2)
        query, *shots = map(pictures.shown, (*alike, dice.choice(pictures.by_concept[pair[1]])))
        for turned, flipped in itertools.product((False, True), repeat=2):
            names = pair[::-1] if flipped else pair
            listed = "\n".join(f"{letter}. {name}" for letter, name in zip("AB", names, strict=True))
            question = f"Which option describes the picture?\n{listed}\nAnswer with the letter of the option."
            said = [Turn((shot,), question, "AB"[names.index(name)]) for shot, name in zip(shots, pair, strict=True)]
            ask = Ask(f"{number}-{turned}-{flipped}", _turned(said, turned), Turn((query,), question), ("A", "B"))
            made["letters"].append(ask)
            words = WORDS[number % len(WORDS)]
            told = words[::-1] if flipped else words
            said = [Turn((shot,), "What is this called?", word) for shot, word in zip(shots, told, strict=True)]
            made["words"].append(Ask(ask.id, _turned(said, turned), Turn((query,), "What is this called?"), words))
    return made


def _turned(turns: Sequence[Turn], turned: bool) -> tuple[Turn, ...]:
    return tuple(turns[::-1] if turned else turns)


def compare(arguments: argparse.Namespace, kind: str, asks: list[Ask]) -> None:
    """A table of all contenders over one kind of question."""
    print(f"\n{kind}: {len(asks)} questions in arrangements, choices such as {asks[0].choices}")
    print(f"{'':40}{'CPU s':>8}{'questions/s':>13}{'ratio':>8}{'largest difference':>20}{'other choices':>15}")
    first: list[list[float]] = []
    base = 0.0
    for name, settings in CONTENDERS.items():
        reader = VlmReader.load(arguments.model, ReaderSettings(threads=arguments.threads, **settings))  # type: ignore[arg-type]
        reader.likelihoods(asks[:1])
        began = time.process_time()
        scores = reader.likelihoods(asks)
        took = time.process_time() - began
        first, base = first or scores, base or took
        pairs = [pair for one, other in zip(first, scores, strict=True) for pair in zip(one, other, strict=True)]
        apart = max(abs(one - other) for one, other in pairs)
        others = sum(one.index(max(one)) != other.index(max(other)) for one, other in zip(first, scores, strict=True))
        print(f"{name:40}{took:8.2f}{len(asks) / took:13.2f}{base / took:8.2f}{apart:20.2g}{others:15}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the model")
    parser.add_argument("run", nargs="?", default="runs/demo")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=["letters", "words"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    say_machine("torch", "transformers")
    for kind, asks in asks_of(Pictures.of(arguments.run), arguments.questions, arguments.seed).items():
        if kind in arguments.kinds:
            compare(arguments, kind, asks)


if __name__ == "__main__":
    main()
