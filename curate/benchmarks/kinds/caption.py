"""`caption`: captions of pictures, from captioned demonstrations.

A demonstration whose caption is the query's word for word is left out: saying it again would be right without a look.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from curate.benches import Item, Metric
from curate.benchmarks.choosing import LOOKED_AT, SPARE, may_stand
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material
from curate.benchmarks.settings import BenchSettings
from curate.benchmarks.writing import Said, Stamp, Writer, pick
from curate.episodes.dice import Ints
from curate.episodes.templates import load_templates
from curate.errors import InputError
from curate.schema import Role
from curate.seeding import rng


class CaptionSettings(BenchSettings):
    """Captions are scored against all captions that the run has of a picture."""

    nearest: bool = False
    """Demonstrations are the captions of the most alike pictures, the most alike last, instead of any."""
    min_words: int = Field(default=1, ge=1)
    """Words of the shortest caption that is asked for or shown."""


@dataclass
class Captions:
    """Chooses queries and demonstrations of one benchmark."""

    spec: CaptionSettings
    material: Material
    seed: int
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._guard = self.material.guard(self.spec)
        if self.spec.nearest:
            self.material.need_vectors("nearest: true")
        self._support = self._captioned(self.material.support(self.spec))
        self._said: dict[int, list[str]] = defaultdict(list)  # first picture -> its captions
        for row in np.flatnonzero(self.material.pool.captions & self.material.clean).tolist():
            self._said[int(self.material.pool.images[row, 0])].append(self.material.demonstrations[row].answer)

    def items(self) -> list[Item]:
        """Every query with its demonstrations; InputError when there is none."""
        spec = self.spec
        questions = [template.say() for template in load_templates()["caption"]]
        asked = self._one_a_picture(self._captioned(self.material.queries(spec)))
        found: list[Item] = []
        groups = 0
        for query in asked:
            rows = self._demonstrations(query) if groups < spec.queries else None
            if rows is not None:
                found += self._of_query(query, rows, pick(questions, self.seed, self._key(query)), f"c{groups:04d}")
                groups += 1
        if not found:
            raise InputError(
                f"benchmark {spec.name!r}: no caption of {self.material.name} has {max(spec.shots)} others beside it"
            )
        return found

    def _captioned(self, rows: Ints) -> Ints:
        """Those of `rows` that are captions of enough words."""
        said = self.material.demonstrations
        long = np.array([len(said[row].answer.split()) >= self.spec.min_words for row in rows.tolist()], dtype=bool)
        return np.asarray(rows[self.material.pool.captions[rows] & long])

    def _one_a_picture(self, rows: Ints) -> list[int]:
        """One row of each picture, in random order."""
        first: dict[int, int] = {}
        for row in rows.tolist():
            first.setdefault(int(self.material.pool.images[row, 0]), row)
        order = rng(self.seed, "bench.query", self.spec.name).permutation(len(first))
        return [list(first.values())[at] for at in order.tolist()]

    def _demonstrations(self, query: int) -> list[int] | None:
        """Rows for the most shots, the first to be used first; None when the guard leaves too few."""
        most, pool = max(self.spec.shots), self.material.pool
        others = self._support[pool.answer_codes[self._support] != pool.answer_codes[query]]
        self.left_out["same_caption"] += len(self._support) - len(others)
        if self.spec.nearest:
            near = pool.similarity(np.array([query]), others[None, :])[0]  # exact, so that ties fall alike on any machine
            rows = others[np.argsort(-near, kind="stable")][: LOOKED_AT + most]
        else:
            dice = rng(self.seed, "bench.support", self._key(query))
            rows = dice.permutation(others)[: LOOKED_AT + most]
        if not most:
            return []
        rows = rows[may_stand(self._guard, [query], rows)][: most + SPARE]
        kept = rows[~self._guard.repeats(rows[None, :])[0]][:most].tolist() if len(rows) else []
        self.left_out["guard_left_too_few"] += len(kept) < most
        return kept if len(kept) == most else None

    def _of_query(self, query: int, rows: list[int], question: str, group: str) -> Iterator[Item]:
        """The query at every number of shots; the first chosen stands last, next to the query."""
        writer = Writer(self.material, Stamp.of(self.spec, self.seed))
        for shots in self.spec.shots:
            shown = rows[:shots][::-1]
            answers = [self.material.demonstrations[row].answer for row in [*shown, query]]
            said = [Said(question, answer, answer) for answer in answers]
            roles: list[Role] = ["support"] * shots
            episode = writer.episode(f"{group}-k{shots}", "drawn", query, shown, roles, said)
            yield Item(episode.id, group, shots, 0, (), self._accepted(query), episode)

    def _accepted(self, query: int) -> tuple[str, ...]:
        """The query's caption, then what other records say of the same picture."""
        own = self.material.demonstrations[query].answer
        return tuple(dict.fromkeys([own, *self._said[int(self.material.pool.images[query, 0])]]))

    def _key(self, query: int) -> str:
        return f"{self.spec.name}/{self.material.demonstrations[query].id}"


class Caption:
    """What a caption of a picture says."""

    settings = CaptionSettings
    metric: Metric = "caption"
    title = "Write the picture's caption."

    def build(self, spec: CaptionSettings, material: Material, seed: int) -> Made:
        """Every question once at every number of shots."""
        captions = Captions(spec, material, seed)
        return Made(captions.items(), dict(captions.left_out))


KINDS.register("caption")(Caption())
