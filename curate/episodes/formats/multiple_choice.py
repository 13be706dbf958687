"""`multiple_choice`: every turn lists the same concepts in an order of its own; the answer is a letter."""

import numpy as np

from curate.episodes.dice import Mask
from curate.episodes.drafts import Drafts, Turns
from curate.episodes.formats import FORMATS, Wording, concept_names
from curate.episodes.pool import Pool
from curate.episodes.settings import Plan
from curate.episodes.templates import LETTERS


class MultipleChoice:
    """The query's concept among its distractors, by letter."""

    by_concept = True

    def accepts(self, pool: Pool) -> Mask:
        """Demonstrations whose concept can stand as a label."""
        return pool.labelled

    def ways(self, plan: Plan, shots: int) -> list[int]:
        """All that are asked for; with demonstrations, where possible, only as many options as can all be demonstrated."""
        shown = [ways for ways in plan.way_counts() if ways <= shots]
        return shown or plan.way_counts()

    def write(self, drafts: Drafts, wording: Wording) -> Turns:
        """Options in the order of each turn, and the letter of the right one."""
        names, templates = concept_names(drafts), wording.choose(drafts, "multiple_choice")
        orders, right = drafts.options.tolist(), np.asarray(drafts.letters).tolist()
        questions: list[str] = []
        answers: list[str] = []
        labels: list[str] = []
        options: list[list[str]] = []
        for episode, template in enumerate(templates):
            for slots, letter in zip(orders[episode], right[episode], strict=True):
                texts = [names[episode][slot] for slot in slots]
                questions.append(template.say(options=template.show(texts)))
                answers.append(LETTERS[letter])
                labels.append(texts[letter])
                options.append(texts)
        return Turns(questions, answers, labels, options)


FORMATS.register("multiple_choice")(MultipleChoice())
