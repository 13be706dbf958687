"""What the page says first, and what each model is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate.report.evaluation.board import Board, Task
from curate.report.evaluation.gains import Gains
from curate.report.evaluation.models import Model
from curate.report.evaluation.scores import gain_cell
from curate.report.wording import short

LONGEST_FACTS = 6000
"""Characters of a model's facts and settings on the page."""


@dataclass(frozen=True)
class Tile:
    """A model's mean over the benchmarks."""

    model: Model
    mean: str
    extra: str
    kind: str


def headline(board: Board, gains: Gains, tasks: Sequence[Task], shots: Mapping[Task, int]) -> list[Tile]:
    """The mean over the benchmarks that every model was asked, a tile a model, and the mean gain."""
    shared = [t for t in tasks if t.is_accuracy and all(board.score(m, t, "full", shots[t]) for m in board.models)]
    tiles = []
    for model in board.models if shared else []:
        scores = [board.score(model, task, "full", shots[task]) for task in shared]
        mean = sum(score.value for score in scores if score) / len(shared)
        gain = gains.means.get((model.series, "")) if len(shared) > 1 else None
        gain = gain or (gains.of.get((model.series, shared[0])) if len(shared) == 1 else None)
        cell = gain_cell(gain)
        extra = "" if gain is None else f"{cell.said} points ({cell.small})" if cell.small else f"{cell.said} points"
        extra = "what the others are compared with" if model is gains.reference and len(board.models) > 1 else extra
        tiles.append(Tile(model, f"{100 * mean:.1f}", extra, cell.kind))
    return tiles


def facts_of(board: Board) -> list[tuple[Model, int, str]]:
    """Every model with the number of its runs and what its first evaluation says of it."""
    rows = []
    for model in board.models:
        manifest = model.runs[0].manifest
        plain = {
            "model": manifest.model,
            "settings": manifest.settings,
            "benches": {b.name: b.digest for b in manifest.benches},
        }
        rows.append((model, len(model.runs), short(json.dumps(plain, indent=2, ensure_ascii=False), LONGEST_FACTS)))
    return rows
