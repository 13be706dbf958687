"""`open_qa`: the demonstrations' own questions and answers; no options."""

import numpy as np

from curate.episodes.dice import Mask
from curate.episodes.drafts import Drafts, Turns
from curate.episodes.formats import FORMATS, Wording, flat, own_answers
from curate.episodes.pool import Pool
from curate.episodes.settings import Plan


class OpenQA:
    """Questions of one task, answered in free words."""

    by_concept = False

    def accepts(self, pool: Pool) -> Mask:
        """Demonstrations with a question of their own."""
        asked = np.array([bool(question.strip()) for question in pool.questions], dtype=bool)
        return np.asarray(pool.usable & asked & ~pool.captions)

    def ways(self, plan: Plan, shots: int) -> list[int]:
        """No options."""
        return [0]

    def write(self, drafts: Drafts, wording: Wording) -> Turns:
        """Every turn asks its demonstration's question, in the episode's wording."""
        turns, asked = drafts.rows.shape[1], [drafts.pool.questions[row] for row in flat(drafts.rows)]
        each = (template for template in wording.choose(drafts, "open_qa") for _ in range(turns))
        questions = [template.say(question=question) for template, question in zip(each, asked, strict=True)]
        answers = own_answers(drafts)
        return Turns(questions, answers, answers, [[]] * len(answers))


FORMATS.register("open_qa")(OpenQA())
