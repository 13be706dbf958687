"""Episodes of one cell before they have words: who stands where, and which slot is right in every turn."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curate.episodes.dice import Dice, Floats, Ints
from curate.episodes.pool import Pool
from curate.episodes.settings import Plan


@dataclass(frozen=True)
class Cell:
    """A plan with one number of shots and of ways: what episodes are balanced within."""

    plan: Plan
    shots: int
    ways: int  # 0 for formats without options
    weight: float

    @property
    def name(self) -> str:
        """What sets a cell apart from every other of the build, for seeds and ids."""
        plan = self.plan
        made = (plan.format, plan.selector, plan.order, plan.labels, plan.answers)
        return "/".join((*made, f"{self.shots} shots", f"{self.ways} ways"))


@dataclass(frozen=True, eq=False)
class Drafts:
    """E episodes of a cell. Turns are the S demonstrations in order and then the query."""

    cell: Cell
    pool: Pool
    dice: Dice  # [E]
    items: list[str]  # [E] "query id#variant"
    rows: Ints  # [E, S + 1] rows of the pool
    similarity: Floats  # [E, S] cosines to the query
    slots: Ints  # [E, S + 1] which class every turn shows; zeros for formats without options
    letters: Ints  # [E, S + 1] where the right option stands in every turn
    concepts: Ints  # [E, N] concept code in every slot

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, kept: Ints) -> "Drafts":
        """Some of the drafts."""
        if len(kept) == len(self):
            return self
        items, slots, letters = [self.items[i] for i in kept.tolist()], self.slots[kept], self.letters[kept]
        rows, similarity, concepts = self.rows[kept], self.similarity[kept], self.concepts[kept]
        return Drafts(self.cell, self.pool, self.dice.at(kept), items, rows, similarity, slots, letters, concepts)

    @cached_property
    def options(self) -> Ints:
        """[E, S + 1, N] the slots in the order a turn shows them: the right one at its letter, the others at random."""
        ways = self.concepts.shape[1]
        shown = self.dice.orders("options", self.rows.shape[1], ways)
        right = np.argmax(shown == self.slots[:, :, None], axis=2)[:, :, None]
        letter = self.letters[:, :, None]
        moved = np.take_along_axis(shown, letter, axis=2)
        np.put_along_axis(shown, right, moved, axis=2)
        np.put_along_axis(shown, letter, self.slots[:, :, None], axis=2)
        return shown


@dataclass(frozen=True)
class Turns:
    """The words of E * (S + 1) turns, episode by episode."""

    questions: list[str]
    answers: list[str]
    labels: list[str]
    options: list[list[str]]
