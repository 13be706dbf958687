"""Which classes stand against each other, which pictures are asked about and which demonstrate.

The unit is a block: N classes, one query of each and the demonstrations of all of them. All N questions of a block have
the same demonstrations and the same options, and each class is the right one once. So an answerer that does not look
at the query's picture is right in exactly one of N questions, whatever else it looks at.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curate.benchmarks.classes import Classes
from curate.benchmarks.material import Material
from curate.benchmarks.settings import BenchSettings, Distractors
from curate.episodes.dice import Ints, Mask
from curate.episodes.guard import Guard
from curate.errors import InputError
from curate.seeding import rng

LOOKED_AT = 64
"""Demonstrations of a class that are held against the queries of a block, at least; the guard may refuse most of them."""
SPARE = 8
"""Those beyond the needed that are held against one another."""


@dataclass(frozen=True)
class Block:
    """N classes that are asked against each other."""

    name: str
    classes: tuple[int, ...]  # [N] class codes
    queries: tuple[int, ...]  # [N] rows, one of each class
    support: tuple[tuple[int, ...], ...]  # [N][K] rows of each class, K the most shots; fewer shots are a beginning of it


@dataclass
class Chooser:
    """Deals classes into blocks, round by round; in a round every class stands in one block at most."""

    spec: BenchSettings
    material: Material
    classes: Classes
    ways: int
    distractors: Distractors
    seed: int
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._guard = self.material.guard(self.spec)

    def choose(self) -> list[Block]:
        """The blocks; InputError when there is not one."""
        self._asked = self._rows_by_class(self.material.queries(self.spec), "query")
        self._shown = self._rows_by_class(self.material.support(self.spec), "support")
        able = [c for c in self._asked if len(self._shown.get(c, ())) >= max(self.spec.shots)]
        self.left_out["class_without_enough"] = len(self.classes.names) - len(able)
        self._centres = self._centres_of(able) if self.distractors == "nearest" else {}
        blocks: list[Block] = []
        while found := self._round(able, len(blocks)):
            blocks += found
        if not blocks:
            raise InputError(self._why_none(len(able)))
        return blocks

    def _rows_by_class(self, rows: Ints, purpose: str) -> dict[int, list[int]]:
        """Rows of each class in random order, classes ascending; a picture that two records show stands once."""
        found: dict[int, dict[int, int]] = {}
        for row in rows.tolist():
            code = int(self.classes.of[row])
            if code >= 0:
                found.setdefault(code, {}).setdefault(int(self.material.pool.images[row, 0]), row)
        dice = {code: rng(self.seed, f"bench.{purpose}", f"{self.spec.name}/{self.classes.names[code]}") for code in found}
        return {code: dice[code].permutation(list(found[code].values())).tolist() for code in sorted(found)}

    def _round(self, able: list[int], made: int) -> list[Block]:
        """Blocks of classes that have a query left, as many as are still wanted."""
        order = rng(self.seed, "bench.round", f"{self.spec.name}/{made}").permutation(able).tolist()
        free = [code for code in order if self._ready(code)]
        blocks: list[Block] = []
        while len(free) >= self.ways and (made + len(blocks) + 1) * self.ways <= self.spec.queries:
            block = self._block(free, f"b{made + len(blocks):04d}")
            if block is None:
                free.pop(0)
                continue
            blocks.append(block)
            for code, row in zip(block.classes, block.queries, strict=True):
                free.remove(code)
                self._asked[code].remove(row)
        return blocks

    def _ready(self, code: int) -> bool:
        """Whether a class has a query left that its own demonstrations may stand with; those before it are dropped."""
        while self._asked[code] and self._filled("", [code], self._asked[code][:1]) is None:
            self._asked[code].pop(0)
            self.left_out["query_without_enough_that_may_stand_with_it"] += 1
        return bool(self._asked[code])

    def _block(self, free: list[int], name: str) -> Block | None:
        """A block around the first free class, None when no partners go with it."""
        members, queries = [free[0]], self._asked[free[0]][:1]
        for code in self._partners(free):
            if not all(self.classes.may_meet(code, member) for member in members):
                continue
            more = [*members, code], [*queries, self._query_like(queries[0], code)]
            block = self._filled(name, *more)
            if block is None:
                continue
            members, queries = more
            if len(members) == self.ways:
                return block
        self.left_out["class_without_partners"] += 1
        return None

    def _query_like(self, first: int, code: int) -> int:
        """The class's next query, from the source of `first` if there is one, so that sources tell nothing apart."""
        sources = self.material.pool.sources
        return next((row for row in self._asked[code] if sources[row] == sources[first]), self._asked[code][0])

    def _partners(self, free: list[int]) -> list[int]:
        """The other free classes, best first."""
        first, others = free[0], free[1:]
        if self.distractors == "sibling":
            return [code for code in others if self.classes.are_siblings(first, code)]
        if self.distractors == "nearest" and others:
            near = np.stack([self._centres[code] for code in others]) @ self._centres[first]
            return [others[at] for at in np.argsort(-np.round(near, 9), kind="stable").tolist()]
        return others

    def _centres_of(self, codes: list[int]) -> dict[int, NDArray[np.float64]]:
        """Mean direction of each class's demonstrations."""
        means = {code: self.material.directions(np.array(self._shown[code])).mean(axis=0) for code in codes}
        return {code: mean / max(float(np.linalg.norm(mean)), 1e-6) for code, mean in means.items()}

    def _filled(self, name: str, members: list[int], queries: list[int]) -> Block | None:
        """Demonstrations for classes and their queries, None when the guard leaves too few."""
        most = max(self.spec.shots)
        if not self._distinct(queries):
            return None
        if not most:
            return Block(name, tuple(members), tuple(queries), ((),) * len(members))
        rows, places = self._candidates(queries, members, most)
        good = ~self._guard.repeats(rows[None, :])[0] if len(rows) else np.zeros(0, dtype=bool)
        support = [[int(row) for row in rows[good & (places == place)][:most]] for place in range(len(members))]
        if min(map(len, support)) < most:
            return None
        return Block(name, tuple(members), tuple(queries), tuple(map(tuple, support)))

    def _distinct(self, queries: list[int]) -> bool:
        """Whether no two queries show the same picture: then two classes would be right of it."""
        return not self._guard.repeats(np.array([queries])).any()

    def _candidates(self, queries: list[int], members: list[int], most: int) -> tuple[Ints, Ints]:
        """Rows that may stand with all queries and the places of their classes, one of each class in turn, so that none is
        served before the others."""
        lists = [np.array(self._shown[code][: LOOKED_AT + most], dtype=np.int64) for code in members]
        lists = [rows[may_stand(self._guard, queries, rows)][: most + SPARE] for rows in lists]
        ranked = [(at, place, row) for place, rows in enumerate(lists) for at, row in enumerate(rows.tolist())]
        flat = np.array(sorted(ranked), dtype=np.int64).reshape(-1, 3)
        return flat[:, 2], flat[:, 1]

    def _why_none(self, able: int) -> str:
        spec = self.spec
        why = f"{able} classes have a query and {max(spec.shots)} demonstrations, {self.ways} must go together"
        return f"benchmark {spec.name!r}: {self.material.name} gives no question: {why}; lower shots or ways"


def may_stand(guard: Guard, queries: list[int], rows: Ints) -> Mask:
    """[R] which rows may stand with every query."""
    asked, candidates = np.array(queries), np.broadcast_to(rows, (len(queries), len(rows)))
    return np.asarray(guard.allow(asked, candidates, guard.pool.similarity(asked, candidates)).all(axis=0))
