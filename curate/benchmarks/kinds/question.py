"""`question`: attribute and relation questions, asked as the demonstrations ask them.

A block is N answers to one question. The demonstrations show pictures of all N answers, so what the answers are is known;
which of them is right of the query only its picture tells.
"""

from dataclasses import dataclass

from pydantic import Field

from curate.benches import Item, Metric
from curate.benchmarks.choosing import Chooser
from curate.benchmarks.classes import answer_classes
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.settings import BenchSettings
from curate.benchmarks.writing import Said, block_items, pick
from curate.episodes.settings import Ways
from curate.episodes.templates import Template, load_templates
from curate.errors import InputError

NOT_ASKED = ("category", "caption")


class QuestionSettings(BenchSettings):
    """Classes are the answers to one and the same question."""

    ways: Ways = 2
    """Answers a question chooses between."""
    tasks: list[str] = Field(default=[])
    """Tasks that are asked; all but category and caption where empty."""
    same_question: bool = True
    """Answers stand against each other only where their questions read alike; off where one question has many wordings,
    then all answers of a task do."""


@dataclass(frozen=True)
class Answers:
    """Turns with the demonstrations' own questions, answered in the words of the block's answers."""

    template: Template
    material: Material
    choices: tuple[str, ...]  # [N] by place

    def say(self, row: int, place: int, order: tuple[int, ...]) -> Said:
        """The row's own question."""
        asked = self.template.say(question=self.material.demonstrations[row].question)
        return Said(asked, self.choices[place], self.choices[place])


class Question:
    """Which answer is right of a picture."""

    settings = QuestionSettings
    metric: Metric = "choice"
    title = "Which answer to the question is right?"

    def build(self, spec: QuestionSettings, material: Material, seed: int) -> Made:
        """Every question at every number of shots, a demonstration of its answer in every position."""
        classes = answer_classes(material, self._tasks(spec, material), spec.same_question)
        chooser = Chooser(spec, material, classes, spec.ways, "random", seed)
        templates, items = load_templates()["open_qa"], list[Item]()
        for block in chooser.choose():
            template = pick(templates, seed, f"{spec.name}/{block.name}")
            wording = Answers(template, material, classes.named(block.classes))
            items += block_items(spec, material, block, wording, seed, False)
        return Made(items, dict(chooser.left_out))

    def _tasks(self, spec: QuestionSettings, material: Material) -> list[str]:
        """The tasks to ask; InputError when the run has none of them."""
        asked = {d.task for d in material.demonstrations if d.question.strip()}
        tasks = sorted(asked & set(spec.tasks) if spec.tasks else asked - set(NOT_ASKED))
        if not tasks:
            wanted = ", ".join(spec.tasks) or f"tasks other than {' and '.join(NOT_ASKED)}"
            raise InputError(f"benchmark {spec.name!r}: {material.name} has no questions of {wanted}; it has {sorted(asked)}")
        return tasks


KINDS.register("question")(Question())
