"""The demonstrations of a run that a benchmark may be made of."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from curate.benchmarks.settings import BenchSettings
from curate.episodes.dice import Ints, Mask
from curate.episodes.guard import Guard
from curate.episodes.pool import Pool, normal
from curate.episodes.reading import demonstrations_table, inputs_of, read_pool
from curate.episodes.settings import EpisodeSettings, GuardSettings
from curate.errors import InputError
from curate.layout import Run
from curate.registry import nearest
from curate.schema import Demonstration, from_table

_READING = EpisodeSettings(guard=GuardSettings(cosine=None))
"""How a run is read: as episodes read it, also one without embeddings."""


@dataclass(frozen=True, eq=False)
class Material:
    """N demonstrations of a run, as records and as arrays; row i of one is row i of the other."""

    run: Run
    digests: dict[str, str]  # stage -> content hash of what was read
    demonstrations: Sequence[Demonstration]
    pool: Pool
    faults: Sequence[str]  # [N] why a demonstration must not stand in a benchmark, "" when it may
    concepts: frozenset[str] = frozenset()  # training's, as `concept_key` gives them
    words: frozenset[str] = frozenset()  # made-up words that training has used

    @cached_property
    def clean(self) -> Mask:
        """[N] usable, and nothing of it occurs in training."""
        return np.array([not fault for fault in self.faults], dtype=bool)

    @property
    def name(self) -> str:
        """The run's folder name."""
        return self.run.root.uri.rstrip("/").rpartition("/")[2]

    def queries(self, spec: BenchSettings) -> Ints:
        """Rows that may be asked about: clean, and of the spec's sources."""
        return self._of(spec.sources)

    def support(self, spec: BenchSettings) -> Ints:
        """Rows that may stand as demonstrations: clean, and of the spec's support sources."""
        return self._of(spec.support)

    def guard(self, spec: BenchSettings) -> Guard:
        """The rules on what may stand with what; no spec can let a picture demonstrate itself. InputError where the rules want
        vectors that the run does not have."""
        if self.pool.vectors is None and spec.guard.cosine is not None:
            raise InputError(
                f"{self.name} has no embeddings; run curate embed first, or set guard: {{cosine: null}} in the spec"
            )
        return Guard(self.pool, spec.guard.model_copy(update={"itself": True, "exact_image": True}))

    def need_vectors(self, wanted_by: str) -> None:
        """InputError when the run has none."""
        if self.pool.vectors is None:
            raise InputError(f"{self.name} has no embeddings, which {wanted_by} wants; run curate embed first")

    def directions(self, rows: Ints) -> NDArray[np.float64]:
        """Unit vectors of the first pictures of rows, [R, D]."""
        self.need_vectors("distractors: nearest")
        assert self.pool.vectors is not None
        return np.asarray(self.pool.vectors[self.pool.vector_rows[rows, 0]], dtype=np.float64)

    def _of(self, sources: list[str]) -> Ints:
        known = sorted({d.source for d in self.demonstrations})
        for name in sources:
            if name not in known:
                raise InputError(
                    f"{self.name} has no source {name!r}{nearest(name, known)}; it has {', '.join(known) or 'none'}"
                )
        wanted = set(sources or known)
        return np.flatnonzero(self.clean & np.array([d.source in wanted for d in self.demonstrations], dtype=bool))


@dataclass(frozen=True)
class Training:
    """What reading a run needs to know of training: which demonstrations are of it, its concepts and made-up words."""

    faults: Callable[[Run, Sequence[Demonstration]], list[str]] = lambda run, demonstrations: [""] * len(demonstrations)
    concepts: frozenset[str] = field(default=frozenset())
    words: frozenset[str] = field(default=frozenset())


def read_material(place: str, training: Training) -> Material:
    """The demonstrations of the run at `place`; InputError when there are none."""
    run = Run.at(place)
    digests = inputs_of(run, _READING, search=False).digests
    demonstrations = from_table(demonstrations_table(run), Demonstration)
    pool = read_pool(run, _READING)
    seen = training.faults(run, demonstrations)
    faults = [fault or taken for fault, taken in zip(pool.faults, seen, strict=True)]
    return Material(run, digests, demonstrations, pool, faults, training.concepts, training.words)


@lru_cache(maxsize=1 << 16)
def concept_key(name: str) -> str:
    """How a benchmark's concepts are compared with training's: normalised, the last word in the singular (roughly; what
    counts is that both sides are treated alike)."""
    return _PLURAL.sub(_singular, normal(name))


_PLURAL = re.compile(r"(ies?|(?<=[sxz])es?|(?<=[cs]h)es?|(?<![siu])s)$")


def _singular(ending: re.Match[str]) -> str:
    return "y" if ending.group().startswith("i") else ""
