"""The classes that a benchmark's questions choose between."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from curate.benchmarks.material import Material, concept_key
from curate.benchmarks.settings import ClassBenchSettings
from curate.episodes.dice import Ints
from curate.episodes.pool import LABEL, normal
from curate.schema import Demonstration


@dataclass(frozen=True, eq=False)
class Classes:
    """Classes by code, and which may be asked against which."""

    of: Ints  # [N] class of every row, -1 for none
    names: list[str]  # by class
    fields: list[Hashable]  # by class: only classes of one field are asked against each other
    parents: list[str]  # by class: the broader concept, "" where none is known
    related: set[tuple[int, int]]  # classes a < b that may both be right of one picture

    def may_meet(self, one: int, other: int) -> bool:
        """Whether at most one of two classes can be right of a picture, and both answer the same question."""
        apart = (min(one, other), max(one, other)) not in self.related and concept_key(self.names[one]) != concept_key(
            self.names[other]
        )
        return apart and one != other and self.fields[one] == self.fields[other]

    def named(self, codes: Sequence[int]) -> tuple[str, ...]:
        """Names of classes."""
        return tuple(self.names[code] for code in codes)

    def are_siblings(self, one: int, other: int) -> bool:
        """Whether two classes are kinds of the same broader concept."""
        return bool(self.parents[one]) and self.parents[one] == self.parents[other]


def concept_classes(material: Material, spec: ClassBenchSettings) -> tuple[Classes, Counter[str]]:
    """Classes by concept, that of the spec's level in each record's list, and why some were left out. Sentences and addresses
    are no labels. All concepts of a record are true of its picture. Singular and plural are one class."""
    level, left_out = spec.level, Counter[str]()
    lists = [[name for name in d.concepts if normal(name)] for d in material.demonstrations]
    own = [names[level] if len(names) > level else "" for names in lists]
    known = sorted({normal(name) for name in own if name})
    kept = []
    for name in known:
        why = _why_not(name, material, spec)
        left_out[why] += bool(why)
        kept += [] if why else [name]
    codes = {key: at for at, key in enumerate(sorted(set(map(concept_key, kept))))}
    parents: dict[int, Counter[str]] = defaultdict(Counter)
    for row, names in enumerate(lists):
        if len(names) > level + 1 and concept_key(own[row]) in codes:
            parents[codes[concept_key(own[row])]][concept_key(names[level + 1])] += 1
    left = set(kept)
    of = np.array([codes[concept_key(name)] if normal(name) in left else -1 for name in own], dtype=np.int64)
    borne = ([codes[concept_key(name)] for name in names if concept_key(name) in codes] for names in lists)
    related = _related(material.demonstrations, borne)
    names = _written(own, of, len(codes))
    return Classes(of, names, [""] * len(codes), [_most(parents[at]) for at in range(len(codes))], related), +left_out


def answer_classes(material: Material, tasks: Sequence[str], by_question: bool) -> Classes:
    """Classes by answer among questions of the same task and, with `by_question`, of the same wording. Rows of other tasks
    have none."""
    rows = material.demonstrations
    fields = [(d.task, normal(d.question) if by_question else "") if d.task in tasks else None for d in rows]
    keys = [(at, normal(d.answer)) if at and normal(d.answer) else None for at, d in zip(fields, rows, strict=True)]
    codes = {key: at for at, key in enumerate(sorted({key for key in keys if key}))}
    of = np.array([codes[key] if key else -1 for key in keys], dtype=np.int64)
    related = _related(rows, ([int(code)] if code >= 0 else [] for code in of))
    names = _written([d.answer for d in rows], of, len(codes))
    return Classes(of, names, [field for field, _ in codes], [""] * len(codes), related)


def _related(demonstrations: Sequence[Demonstration], borne: Iterable[list[int]]) -> set[tuple[int, int]]:
    """Pairs of classes that one picture bears, in whatever records."""
    by_picture: dict[Hashable, set[int]] = defaultdict(set)
    for row, (demonstration, codes) in enumerate(zip(demonstrations, borne, strict=True)):
        for key in [image.ref for image in demonstration.images] or [str(row)]:
            by_picture[key].update(codes)
    alike = {frozenset(codes) for codes in by_picture.values()}
    return {(one, other) for codes in alike for one in codes for other in codes if one < other}


def _written(texts: Sequence[str], of: Ints, count: int) -> list[str]:
    """How each class is written: as most records write it, of equals the first in the alphabet."""
    written: list[Counter[str]] = [Counter() for _ in range(count)]
    for text, code in zip(texts, of.tolist(), strict=True):
        if code >= 0:
            written[code][" ".join(text.split())] += 1
    return [_most(counts) for counts in written]


def _most(counts: Counter[str]) -> str:
    return min(counts, key=lambda text: (-counts[text], text)) if counts else ""


def _why_not(name: str, material: Material, spec: ClassBenchSettings) -> str:
    """Why a concept is no class, "" when it is."""
    wanted = not spec.only or any(fnmatchcase(name, normal(pattern)) for pattern in spec.only)
    if not wanted or any(fnmatchcase(name, normal(pattern)) for pattern in spec.without):
        return "class_not_wanted"
    if len(name) > LABEL or "://" in name:
        return "class_no_label"
    return "class_in_training" if concept_key(name) in material.concepts else ""
