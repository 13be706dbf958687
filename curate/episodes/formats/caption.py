"""`caption`: every turn asks for a caption."""

from curate.episodes.dice import Mask
from curate.episodes.drafts import Drafts, Turns
from curate.episodes.formats import FORMATS, Wording, own_answers
from curate.episodes.pool import Pool
from curate.episodes.settings import Plan


class Caption:
    """Pictures and their captions."""

    by_concept = False

    def accepts(self, pool: Pool) -> Mask:
        """Demonstrations whose answer is a caption."""
        return pool.usable & pool.captions

    def ways(self, plan: Plan, shots: int) -> list[int]:
        """No options."""
        return [0]

    def write(self, drafts: Drafts, wording: Wording) -> Turns:
        """The same request in every turn of an episode."""
        turns = drafts.rows.shape[1]
        questions = [template.say() for template in wording.choose(drafts, "caption") for _ in range(turns)]
        answers = own_answers(drafts)
        return Turns(questions, answers, answers, [[]] * len(answers))


FORMATS.register("caption")(Caption())
