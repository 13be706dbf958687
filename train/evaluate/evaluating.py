"""A model's answers to benchmarks, under their controls, into a folder that can be gone on with.

`evaluate` asks cell by cell, appends answers chunk by chunk, and writes the results at the end. Started again, it asks only
what is missing; with more shots, conditions, benchmarks or a larger limit it adds to what is there. See curate/evaluations.py
for what the folder holds.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from curate.benches import Bench, Item
from curate.evaluations import (
    Answer,
    Evaluation,
    answers_name,
    write_manifest,
    write_rows,
)
from curate.storage import Folder, clear_errors
from train.evaluate.answers import AnswerFile
from train.evaluate.asking import Asking
from train.evaluate.cells import Cell, EvaluateSettings, cells_of
from train.evaluate.holding import checked, manifest_for, with_earlier
from train.evaluate.metrics import score_likelihoods, score_text
from train.evaluate.records import Reader
from train.evaluate.results import rows_of
from train.folder import alone_in

DIGITS = 6
"""Decimals of a log-probability that are kept: more would be noise of the machine."""

LEAST = -1e6
"""The logarithm that stands for that of 0, which JSON has not."""


class Progress(Protocol):
    """Hears how an evaluation goes."""

    def begin(self, done: int, total: int) -> None:
        """So many of all items are answered already."""

    def answered(self, cell: str, items: int) -> None:
        """So many more items of a cell were answered."""

    def note(self, message: str) -> None:
        """Something that a person should know."""


class Quiet:
    """A Progress that says nothing."""

    def begin(self, done: int, total: int) -> None:
        """Nothing."""

    def answered(self, cell: str, items: int) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Planned:
    """A cell and what of it is answered in the folder already."""

    cell: Cell
    items: int
    done: int

    def as_json(self) -> dict[str, str | int]:
        """For scripts."""
        cell = self.cell
        return {
            "bench": cell.bench.name, "condition": cell.condition, "shots": cell.shots, "items": self.items, "done": self.done
        }  # fmt: skip


def planned(
    benches: Sequence[Bench], out: "str | os.PathLike[str]", settings: EvaluateSettings, progress: Progress | None = None
) -> list[Planned]:
    """What `evaluate` would ask, without a model. The errors of `evaluate`, but for another model's answers in the folder."""
    folder = checked(out, benches, settings)
    cells = cells_of(benches, settings, (progress or Quiet()).note)
    files = [_file(folder, cell, settings) for cell in cells]
    return [
        Planned(cell, len(cell.items), min(len(cell.items), len(file.kept()))) for cell, file in zip(cells, files, strict=True)
    ]


def evaluate(
    reader: Reader,
    benches: Sequence[Bench],
    out: "str | os.PathLike[str]",
    settings: EvaluateSettings | None = None,
    progress: Progress | None = None,
    name: str | None = None,
) -> Evaluation:
    """Asks what is missing and writes the results; `name` is what the model is called in tables.

    ConfigError when the folder has answers of another model, other benchmarks of the same names, or other settings; InputError
    when it holds something else.
    """
    settings, progress = settings or EvaluateSettings(), progress or Quiet()
    folder = checked(out, benches, settings)
    cells = cells_of(benches, settings, progress.note)
    with alone_in(os.fspath(out)):
        folder.clean()
        manifest = manifest_for(folder, reader, benches, settings, name)
        write_manifest(folder, manifest)
        asked = _ask_all(reader, cells, folder, settings, progress)
        rows = [row for cell, answers in zip(cells, asked, strict=True) for row in rows_of(cell, answers, settings.seed)]
        write_rows(folder, with_earlier(folder, manifest, rows))
    return Evaluation.open(folder)


def _ask_all(
    reader: Reader, cells: Sequence[Cell], folder: Folder, settings: EvaluateSettings, progress: Progress
) -> list[list[Answer]]:
    """The answers of every cell, in the order of its items."""
    files = [_file(folder, cell, settings) for cell in cells]
    kept = [min(len(file.kept()), len(cell.items)) for cell, file in zip(cells, files, strict=True)]
    progress.begin(sum(kept), sum(len(cell.items) for cell in cells))
    askings = {cell.bench.name: Asking(cell.bench, settings.seed) for cell in cells}
    for cell, file in zip(cells, files, strict=True):
        _ask_cell(reader, cell, file, askings[cell.bench.name], settings, progress)
    return [file.kept()[: len(cell.items)] for cell, file in zip(cells, files, strict=True)]


def _ask_cell(
    reader: Reader, cell: Cell, file: AnswerFile, asking: Asking, settings: EvaluateSettings, progress: Progress
) -> None:
    missing = file.missing()
    if not missing:
        return
    with clear_errors(f"{file.folder.uri}/{file.name}"), file.reopened() as out:
        for chunk in missing:
            answers = _answered(reader, cell, chunk, asking, settings)
            out.write("".join(answer.line() for answer in answers).encode())
            progress.answered(str(cell), len(chunk))


def _answered(reader: Reader, cell: Cell, items: Sequence[Item], asking: Asking, settings: EvaluateSettings) -> list[Answer]:
    by_likelihood = cell.likelihoods and settings.scoring == "auto"
    asks = [asking.ask(item, cell.condition, by_likelihood) for item in items]
    if by_likelihood:
        return [_by_scores(item, row) for item, row in zip(items, reader.likelihoods(asks), strict=True)]
    metric = cell.bench.manifest.metric
    return [
        _by_text(metric, item, said) for item, said in zip(items, reader.generate(asks, settings.max_new_tokens), strict=True)
    ]


def _by_scores(item: Item, scores: Sequence[float]) -> Answer:
    """A likelihood of 0 is written as LEAST; an item with a score that is no number counts as one that did not fit."""
    known = [max(round(score, DIGITS), LEAST) for score in scores if not math.isnan(score)]
    kept = tuple(known) if len(known) == len(scores) else ()
    choice, right = score_likelihoods(item, kept)
    return Answer(item.id, item.group, choice, right, scores=kept)


def _by_text(metric: str, item: Item, said: str | None) -> Answer:
    choice, right = score_text(metric, item, said)
    return Answer(item.id, item.group, choice, right, said=said)


def _file(folder: Folder, cell: Cell, settings: EvaluateSettings) -> AnswerFile:
    return AnswerFile(folder, answers_name(cell.bench.name, cell.condition, cell.shots), cell.items, settings.chunk)
