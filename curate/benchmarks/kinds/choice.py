"""`choice`: N-way K-shot multiple choice. Options are class names, the answer is a letter.

Every turn lists the same N classes in an order of its own, so a demonstration's letter says nothing about the query's:
its meaning does. With `options: item` all turns of an item have one order, and letters are labels.
"""

from dataclasses import dataclass
from typing import Literal

from curate.benches import Item, Metric
from curate.benchmarks.choosing import Chooser
from curate.benchmarks.classes import concept_classes
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.settings import ClassBenchSettings
from curate.benchmarks.writing import Said, block_items, pick
from curate.episodes.templates import LETTERS, Template, load_templates


@dataclass(frozen=True)
class Letters:
    """Turns that list the block's class names and are answered by a letter."""

    template: Template
    names: tuple[str, ...]  # [N] by place

    @property
    def choices(self) -> tuple[str, ...]:
        """A, B, ..."""
        return tuple(LETTERS[: len(self.names)])

    def say(self, row: int, place: int, order: tuple[int, ...]) -> Said:
        """Options in their order, and the letter of the right one."""
        texts = [self.names[at] for at in order]
        question = self.template.say(options=self.template.show(texts))
        return Said(question, LETTERS[order.index(place)], self.names[place], tuple(texts))


class ChoiceSettings(ClassBenchSettings):
    """Benchmarks that list their options."""

    options: Literal["turn", "item"] = "turn"
    """The order of the options. turn: each turn has its own, so that a demonstration's letter says nothing of the query's
    and its meaning does; item: all turns of an item have one, so that letters are labels like any other."""


class Choice:
    """Which of N classes a picture shows."""

    settings = ChoiceSettings
    metric: Metric = "choice"
    title = "Which of these classes does the picture show?"

    def build(self, spec: ChoiceSettings, material: Material, seed: int) -> Made:
        """Every question at every number of shots in all its arrangements."""
        classes, left_out = concept_classes(material, spec)
        chooser = Chooser(spec, material, classes, spec.ways, spec.distractors, seed)
        templates, items = load_templates()["multiple_choice"], list[Item]()
        for block in chooser.choose():
            template = pick(templates, seed, f"{spec.name}/{block.name}")
            wording = Letters(template, classes.named(block.classes))
            items += block_items(spec, material, block, wording, seed, True, spec.options == "turn")
        return Made(items, dict(left_out + chooser.left_out))


KINDS.register("choice")(Choice())
