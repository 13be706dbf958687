"""What every stage scored on every benchmark, for each seed and question, read from evaluation folders."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from curate.errors import InputError
from curate.evaluations import Evaluation, Row, is_evaluation
from curate.statistics import by_group
from pipelines.headline.plan import MODEL
from pipelines.headline.settings import Experiment

Table = dict[str, float]
"""Question (group of items) -> 0..1."""

Cell = tuple[str, int, str, str, int]
"""Stage, seed, benchmark, condition, shots."""


@dataclass
class Scores:
    """Answers by cell, and the rows of results that go with them."""

    experiment: Experiment
    tables: dict[Cell, Table] = field(default_factory=dict)
    rows: dict[Cell, Row] = field(default_factory=dict)

    def table(self, stage: str, seed: int, bench: str, condition: str, shots: Sequence[int]) -> Table | None:
        """The mean over numbers of shots, question by question; None where one of them was not measured."""
        seeds = self.experiment.seeds_of(stage)
        seed = seed if seed in seeds else seeds[0]
        found = [self.tables.get((stage, seed, bench, condition, number)) for number in shots]
        sums: dict[str, list[float]] = defaultdict(list)
        for table in found:
            if table is None:
                return None
            for group, value in table.items():
                sums[group].append(value)
        return {group: float(np.mean(values)) for group, values in sums.items()} or None

    def by_seed(self, stage: str, bench: str, condition: str, shots: Sequence[int]) -> list[Table] | None:
        """One table a seed; None where a seed is missing."""
        found = [self.table(stage, seed, bench, condition, shots) for seed in self.experiment.seeds]
        return [table for table in found if table is not None] if all(found) else None

    def score(self, stage: str, bench: str, condition: str, shots: Sequence[int]) -> float | None:
        """Mean over seeds, shots and questions, 0..1."""
        tables = self.by_seed(stage, bench, condition, shots)
        return float(np.mean([list(table.values()) for table in tables])) if tables else None

    def baseline(self, bench: str, name: str, shots: Sequence[int]) -> float | None:
        """What an answerer without a model scores (chance, knn, copy-last, ...): the mean over shots."""
        found = [self._baseline(bench, name, number) for number in shots]
        known = [value for value in found if value is not None]
        return float(np.mean(known)) if found and len(known) == len(found) else None

    def _baseline(self, bench: str, name: str, shots: int) -> float | None:
        rows = (row for cell, row in self.rows.items() if (cell[2], cell[3], cell[4]) == (bench, "full", shots))
        row = next(rows, None)
        if row is None:
            return None
        return row.chance if name == "chance" else row.baselines.get(name)


def read_scores(experiment: Experiment, out: Path) -> Scores:
    """All evaluations of an experiment that are there; InputError when none is."""
    scores, found = Scores(experiment), False
    for stage in dict.fromkeys(stage for asked in experiment.evaluate.values() for stage in asked.stages):
        for seed in experiment.seeds_of(stage):
            place = out / "evaluations" / (MODEL if stage == MODEL else f"{stage}-{seed}")
            if is_evaluation(str(place)):
                found = True
                _read(scores, Evaluation.open(str(place)), stage, seed)
    if not found:
        raise InputError(f"{out} has no evaluation yet; run the experiment first")
    return scores


def _read(scores: Scores, evaluation: Evaluation, stage: str, seed: int) -> None:
    for row in _main(evaluation.rows):
        cell = (stage, seed, row.bench, row.condition, row.shots)
        answers = evaluation.answers(row.bench, row.condition, row.shots)
        scores.rows[cell] = row
        scores.tables[cell] = by_group([answer.right for answer in answers], [answer.group for answer in answers])


def _main(rows: Iterable[Row]) -> list[Row]:
    """The first metric of every cell, in which accuracies are; captions have no place among them."""
    first: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        if row.metric not in ("cider", "rouge-l"):
            first.setdefault((row.bench, row.condition, row.shots), row)
    return list(first.values())
