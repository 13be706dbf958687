"""`naming`: made-up names that only the demonstrations define.

Neither a question nor a picture tells the name, and names are drawn anew for every block, so there is no question without
demonstrations. The names of a block are of one length, so that none is likelier for being short.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from curate.benches import Item, Metric
from curate.benchmarks.choosing import Block, Chooser
from curate.benchmarks.classes import concept_classes
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.settings import ClassBenchSettings
from curate.benchmarks.writing import Said, block_items, pick
from curate.episodes.pseudowords import vocabulary, words_in
from curate.episodes.templates import load_templates
from curate.errors import InputError
from curate.seeding import rng, seed_of

LENGTHS = range(5, 9)
"""Letters of a made-up name."""


class NamingSettings(ClassBenchSettings):
    """Naming has no question without demonstrations."""

    shots: list[Annotated[int, Field(ge=1, le=64)]] = Field(default=[1, 2, 4])
    """Demonstrations of each class; none is no question, since the names stand nowhere else."""


@dataclass(frozen=True)
class Names:
    """Turns that ask for a name and are answered by the block's made-up words."""

    question: str
    choices: tuple[str, ...]  # [N] by place

    def say(self, row: int, place: int, order: tuple[int, ...]) -> Said:
        """The same question everywhere."""
        return Said(self.question, self.choices[place], self.choices[place])


class Naming:
    """By which made-up name a picture goes."""

    settings = NamingSettings
    metric: Metric = "choice"
    title = "By which made-up name does the picture go?"

    def build(self, spec: NamingSettings, material: Material, seed: int) -> Made:
        """Every question at every number of shots, a positive in every position."""
        classes, left_out = concept_classes(material, spec)
        chooser = Chooser(spec, material, classes, spec.ways, spec.distractors, seed)
        questions = [template.say() for template in load_templates()["classification"] if not template.lists_options]
        words, items = made_up(material, spec.name, seed), list[Item]()
        for block in chooser.choose():
            question = pick(questions, seed, f"{spec.name}/{block.name}")
            wording = Names(question, self._names(spec, block, seed, words))
            items += block_items(spec, material, block, wording, seed, False)
        return Made(items, dict(left_out + chooser.left_out))

    def _names(self, spec: NamingSettings, block: Block, seed: int, words: dict[int, list[str]]) -> tuple[str, ...]:
        """Names of one length that no block before has; InputError when they run out."""
        ways = len(block.classes)
        lengths = [length for length, left in words.items() if len(left) >= ways]
        if not lengths:
            raise InputError(f"benchmark {spec.name!r}: made-up names have run out; ask for fewer queries")
        weights = [len(words[length]) for length in lengths]
        dice = rng(seed, "bench.names", f"{spec.name}/{block.name}")
        length = lengths[int(dice.choice(len(lengths), p=[weight / sum(weights) for weight in weights]))]
        return tuple(words[length].pop() for _ in range(ways))


def made_up(material: Material, name: str, seed: int) -> dict[int, list[str]]:
    """Words by length that neither the demonstrations nor training's made-up labels hold."""
    texts = [text for d in material.demonstrations for text in (d.question, d.answer, *d.concepts)]
    words = vocabulary(seed_of(seed, "bench.vocabulary", name), words_in(texts) | material.words)
    return {length: [word for word in words if len(word) == length] for length in LENGTHS}


KINDS.register("naming")(Naming())
