"""What an episode asks: one file a format, one line here.

A format says which demonstrations it can use, whether they are told apart by concept (then options, letters
and positions are balanced by curate.episodes.balance), and writes the words of the turns.
"""

from dataclasses import dataclass, field
from typing import Protocol

from curate.episodes.dice import Ints, Mask
from curate.episodes.drafts import Drafts, Turns
from curate.episodes.pool import Pool
from curate.episodes.settings import Plan
from curate.episodes.templates import Template
from curate.registry import Registry


@dataclass(frozen=True)
class Wording:
    """What formats write with: templates by format and made-up words."""

    templates: dict[str, list[Template]]
    words: list[str] = field(default_factory=list)

    def choose(self, drafts: Drafts, name: str) -> list[Template]:
        """One template for each episode; without demonstrations only those that name the options, where some do."""
        known = self.templates[name]
        if not drafts.cell.shots:
            known = [template for template in known if template.lists_options] or known
        return [known[at] for at in drafts.dice.below("template", len(known), 1)[:, 0].tolist()]


class Format(Protocol):
    """Turns drafts into words."""

    by_concept: bool
    """Whether turns are told apart by concept, with options."""

    def accepts(self, pool: Pool) -> Mask:
        """[N] the demonstrations it can use."""

    def ways(self, plan: Plan, shots: int) -> list[int]:
        """Numbers of options that go with a number of shots, [] when none does; [0] for formats without options."""

    def write(self, drafts: Drafts, wording: Wording) -> Turns:
        """The words of all turns."""


FORMATS: Registry[Format] = Registry("format")


def concept_names(drafts: Drafts) -> list[list[str]]:
    """The names [E, N] of the concepts in the slots."""
    names = drafts.pool.names
    return [[names[code] for code in row] for row in drafts.concepts.tolist()]


def own_answers(drafts: Drafts) -> list[str]:
    """The demonstrations' own answers, turn by turn."""
    answers = drafts.pool.answers
    return [answers[row] for row in flat(drafts.rows)]


def flat(array: Ints) -> list[int]:
    """All elements in order, as Python integers."""
    return array.ravel().tolist()


from curate.episodes.formats import caption, classification, multiple_choice, open_qa  # noqa: E402, F401
