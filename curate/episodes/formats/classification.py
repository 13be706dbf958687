"""`classification`: N-way K-shot; the answer is a class name, or a made-up word that the demonstrations define."""

import numpy as np

from curate.episodes.dice import Ints, Mask
from curate.episodes.drafts import Drafts, Turns
from curate.episodes.formats import FORMATS, Wording, concept_names
from curate.episodes.pool import Pool
from curate.episodes.settings import Plan


class Classification:
    """Every class K = shots / ways times; labels in an order of their own in every turn."""

    by_concept = True

    def accepts(self, pool: Pool) -> Mask:
        """Demonstrations whose concept can stand as a label."""
        return pool.labelled

    def ways(self, plan: Plan, shots: int) -> list[int]:
        """Numbers of classes that divide the shots; none for made-up words without demonstrations."""
        if plan.labels == "pseudo" and not shots:
            return []
        return [ways for ways in plan.way_counts() if shots % ways == 0]

    def write(self, drafts: Drafts, wording: Wording) -> Turns:
        """Labels in the order of each turn, and the right one."""
        pseudo = drafts.cell.plan.labels == "pseudo"
        names = pseudo_names(drafts, wording.words) if pseudo else concept_names(drafts)
        orders, right = drafts.options.tolist(), drafts.letters.tolist()
        questions: list[str] = []
        labels: list[str] = []
        options: list[list[str]] = []
        for episode, template in enumerate(wording.choose(drafts, "classification")):
            for slots, letter in zip(orders[episode], right[episode], strict=True):
                texts = [names[episode][slot] for slot in slots]
                questions.append(template.say(options=template.show(texts)) if template.lists_options else template.say())
                labels.append(texts[letter])
                options.append(texts)
        return Turns(questions, labels, labels, options)


def pseudo_names(drafts: Drafts, words: list[str]) -> list[list[str]]:
    """Made-up words [E, N], distinct within an episode and drawn anew for each."""
    ways = drafts.concepts.shape[1]
    share = len(words) // ways  # every slot draws from a share of its own; which slot is right is balanced
    picks: Ints = drafts.dice.below("words", share, ways) + share * np.arange(ways)
    return [[words[at] for at in row] for row in picks.tolist()]


FORMATS.register("classification")(Classification())
