"""From the queries of one cell to drafts: candidates, guard, balance, order.

`Composer.compose` is the whole way of an episode before its words; everything in it is arrays over Q queries.
"""

from dataclasses import dataclass

import numpy as np

from curate.episodes.arrange import Taken, compatible, counts_of_slots, slots_of_groups
from curate.episodes.balance import design
from curate.episodes.dealing import deal
from curate.episodes.dice import Dice, Floats, Ints
from curate.episodes.drafts import Cell, Drafts
from curate.episodes.formats import FORMATS
from curate.episodes.guard import Guard, Picked, pick
from curate.episodes.pool import Pool
from curate.episodes.selectors import SELECTORS, Selector
from curate.episodes.settings import EpisodeSettings
from curate.episodes.stock import Scene, Stock, some_of

SPARE = 8
"""Candidates beyond those needed, so that the guard may refuse some."""
SPARE_CONCEPTS = 2
"""Distractor concepts beyond those needed."""


@dataclass(frozen=True, eq=False)
class Task:
    """The queries of one cell in one part."""

    cell: Cell
    scene: Scene
    items: list[str]  # [Q] "query id#variant"
    guard: Guard
    part: str  # names the part, for the design

    @property
    def selector(self) -> Selector:
        """The cell's selector."""
        return SELECTORS.get(self.cell.plan.selector)

    @property
    def each(self) -> int:
        """Demonstrations that the fullest slot may need; 1 without any, since an option wants a concept with members."""
        return max(1, -(-self.cell.shots // max(1, self.cell.ways)))

    def pick(self, candidates: Ints, quota: Ints, others: int) -> Picked:
        """What guard and selector leave of candidates [Q, G, C]."""
        rows, flat = self.scene.queries, candidates.reshape(len(candidates), -1)
        similarity = self.scene.pool.similarity(rows, flat)
        allowed = self.guard.allow(rows, flat, similarity, self.selector.within_document).reshape(candidates.shape)
        similarity = similarity.reshape(candidates.shape)
        if self.selector.by_similarity:
            best = np.argsort(np.where(candidates >= 0, -similarity, np.inf), axis=2, kind="stable")
            candidates = np.take_along_axis(candidates, best, axis=2)
            similarity = np.take_along_axis(similarity, best, axis=2)
            allowed = np.take_along_axis(allowed, best, axis=2)
        return pick(self.guard, candidates, similarity, allowed, quota, others)

    def drafts(self, kept: Ints, placed: tuple[Ints, Floats], slots: Ints, letters: Ints, concepts: Ints) -> Drafts:
        """The drafts of the kept queries."""
        rows = np.concatenate([placed[0], self.scene.queries[kept][:, None]], axis=1)
        items = [self.items[at] for at in kept.tolist()]
        pool, dice = self.scene.pool, self.scene.dice.at(kept)
        return Drafts(self.cell, pool, dice, items, rows, placed[1], slots, letters, concepts)


@dataclass(frozen=True, eq=False)
class Composer:
    """Makes drafts over one pool."""

    pool: Pool
    settings: EpisodeSettings
    stocks: dict[str, Stock]  # by format

    def compose(
        self, cell: Cell, rows: Ints, items: list[str], neighbours: Ints, guard: Guard, part: str
    ) -> tuple[Drafts, Ints]:
        """Drafts for the queries `rows` [Q] of a cell, and the positions of the queries for which enough was left."""
        dice = Dice.of(self.settings.seed, f"episodes/{cell.name}", items)
        scene = Scene(self.stocks[cell.plan.format], rows, dice, neighbours)
        task = Task(cell, scene, items, guard, part)
        return self._by_concept(task) if FORMATS.get(cell.plan.format).by_concept else self._by_answer(task)

    def _by_concept(self, task: Task) -> tuple[Drafts, Ints]:
        """Every option's concept gets as many demonstrations as the fullest slot may need; the design says how many
        stand and where. Letters are dealt after the guard, so that what it drops cannot unbalance them."""
        cell, scene, each = task.cell, task.scene, task.each
        concepts = self._options(task)  # [Q, 1 + W]
        candidates = task.selector.members(scene, concepts, each + SPARE)
        quota = np.full(concepts.shape, each, dtype=np.int64)
        picked = task.pick(candidates, quota, cell.ways - 1)
        kept = picked.kept
        plan = design(len(kept), cell.shots, cell.ways, self.settings.seed, f"{cell.name}/{task.part}")
        pattern, dice = plan.slots[:, :-1], scene.dice.at(kept)
        slot_of = slots_of_groups(plan.slots[:, -1], cell.ways, dice)  # [K, N]
        slots = np.repeat(slot_of, each, axis=1)
        needed = np.take_along_axis(counts_of_slots(pattern, cell.ways), slots, axis=1)
        used = np.tile(np.arange(each), cell.ways) < needed
        rows = picked.rows.reshape(slots.shape)
        taken = Taken(rows, picked.similarity.reshape(slots.shape), slots).only(used, cell.shots)
        by_slot = np.empty_like(slot_of)
        np.put_along_axis(by_slot, slot_of, np.take_along_axis(concepts[kept], picked.groups, axis=1), axis=1)
        placed = taken.arranged(pattern, cell.plan.order, dice, self.pool)
        return task.drafts(kept, placed, plan.slots, plan.letters, by_slot), kept

    def _options(self, task: Task) -> Ints:
        """The query's concept and W distractors, no two of which may be true of one picture, [Q, 1 + W]."""
        wanted = task.cell.ways - 1 + SPARE_CONCEPTS
        offered = task.selector.concepts(task.scene, wanted)
        sizes = task.scene.stock.by_concept.size_of(offered)
        offered = np.where(sizes >= max(task.each, self.settings.min_concept_size), offered, -1)
        own = self.pool.concepts[task.scene.queries]
        if task.cell.plan.answers == "balanced":
            dealt = deal(self.pool, own, offered, task.cell.ways - 1, task.scene.dice)
            offered = np.concatenate([dealt, offered], axis=1)
        return compatible(self.pool, own, offered, wanted)

    def _by_answer(self, task: Task) -> tuple[Drafts, Ints]:
        """Two groups: demonstrations with the query's answer, which stand at each position as often as chance has it,
        and demonstrations with another one. With `answers: free` the second group takes what comes."""
        scene, shots = task.scene, task.cell.shots
        same = np.zeros((len(scene.queries), shots), dtype=bool)
        candidates = self._ranked(task)[:, None, :]
        candidates = np.concatenate([np.full_like(candidates, -1), candidates], axis=1)
        if task.cell.plan.answers == "balanced":
            same = scene.dice.uniform("same answer", shots) < answer_shares(scene.stock, scene.queries)[:, None]
            candidates = self._split_by_answer(task, candidates[:, 1])
        few = same.sum(axis=1)
        picked = task.pick(candidates, np.stack([few, shots - few], axis=1), 1)
        kept = picked.kept
        slots = (np.arange(shots) >= few[kept][:, None]).astype(np.int64)
        rows = picked.rows.reshape(slots.shape)
        taken = Taken(rows, picked.similarity.reshape(slots.shape), slots)
        placed = taken.arranged((~same[kept]).astype(np.int64), task.cell.plan.order, scene.dice.at(kept), self.pool)
        none = np.zeros((len(kept), shots + 1), dtype=np.int64)
        return task.drafts(kept, placed, none, none, none[:, :0]), kept

    def _ranked(self, task: Task) -> Ints:
        """The selector's candidates of the query's task, [Q, C]."""
        ranked, tasks = task.selector.rank(task.scene, 2 * task.cell.shots + SPARE), self.pool.tasks
        return np.where((ranked >= 0) & (tasks[ranked] == tasks[task.scene.queries][:, None]), ranked, -1)

    def _split_by_answer(self, task: Task, ranked: Ints) -> Ints:
        """[Q, 2, C]: candidates with the query's answer, further ones of that answer at random; and the others."""
        scene, codes = task.scene, self.pool.answer_codes
        own = codes[scene.queries]
        alike = codes[ranked] == own[:, None]
        more = some_of(scene.stock.by_answer, own, task.cell.shots + SPARE, scene.dice, "same answer rows")
        with_it = np.concatenate([np.where(alike, ranked, -1), more], axis=1)
        without = np.concatenate([np.where(alike, -1, ranked), np.full_like(more, -1)], axis=1)
        return np.stack([with_it, without], axis=1)


def answer_shares(stock: Stock, rows: Ints) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """[Q] how often another usable demonstration of the query's task has the query's answer."""
    alike = stock.by_answer.size_of(stock.pool.answer_codes[rows]) - 1
    others = stock.by_task.size_of(stock.pool.tasks[rows]) - 1
    return np.asarray(np.maximum(alike, 0) / np.maximum(others, 1), dtype=np.float64)
