"""The models of a page: evaluation folders, those of one model trained with several seeds folded into one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.errors import InputError
from curate.evaluations import Evaluation
from curate.report.training.page import names
from curate.report.wording import short

MOST_MODELS = 8
"""As many as there are colours that can be told apart."""
NAME = 60
"""Characters of a name in a legend."""

_SEED = re.compile(r"(.*?)[-_./ ]+(?:seed[-_=]?|s)(\d{1,9})")


@dataclass(frozen=True)
class Model:
    """A model under its name, with the evaluations of its runs: one, or one a seed."""

    name: str
    series: int  # its colour
    runs: tuple[Evaluation, ...]

    def is_called(self, name: str) -> bool:
        """Whether a name means this model; of a single seed that is also the name without it."""
        found = _SEED.fullmatch(self.name)
        return name == self.name or (found is not None and name == found[1])

    @property
    def facts(self) -> dict[str, Any]:
        """What tells it from others, as its first evaluation says."""
        return self.runs[0].manifest.model


def models_of(places: Sequence[str]) -> list[Model]:
    """The models of evaluation folders, in the order given; InputError when they are too many for a page."""
    opened = [Evaluation.open(place) for place in places]
    folded: dict[str, list[Evaluation]] = {}
    for name, evaluation in zip(labels(opened, places), opened, strict=True):
        folded.setdefault(name, []).append(evaluation)
    if len(folded) > MOST_MODELS:
        raise InputError(
            f"{len(folded)} models do not fit onto one page; name at most {MOST_MODELS}, runs of seeds count once"
        )
    return [Model(short(name, NAME), at, tuple(runs)) for at, (name, runs) in enumerate(folded.items())]


def labels(opened: Sequence[Evaluation], places: Sequence[str]) -> list[str]:
    """What each evaluation is called; runs that differ in a seed alone ("icl-seed-1", "icl/s2") are called alike."""
    called = [str(evaluation.name) for evaluation in opened]
    if len(set(called)) < len(called):
        called = names(places)
    seeds = [_SEED.fullmatch(name) for name in called]
    bases = [found[1] for found in seeds if found]
    several = {base for base in bases if base and bases.count(base) > 1}
    return [found[1] if found and found[1] in several else name for found, name in zip(seeds, called, strict=True)]
