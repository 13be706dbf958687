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
from curate.errors import ConfigError, InputError
from curate.evaluations import (
    FORMAT,
    Answer,
    EvaluatedBench,
    Evaluation,
    EvaluationManifest,
    Row,
    answers_name,
    is_evaluation,
    named_from,
    write_manifest,
    write_rows,
)
from curate.storage import Folder, clear_errors
from train.evaluate.answers import AnswerFile
from train.evaluate.asking import Asking
from train.evaluate.captions import check_captions
from train.evaluate.cells import SHAPING, Cell, EvaluateSettings, cells_of
from train.evaluate.controls import CONTROLS
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
    folder = _checked(out, benches, settings)
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
    folder = _checked(out, benches, settings)
    cells = cells_of(benches, settings, progress.note)
    with alone_in(os.fspath(out)):
        folder.clean()
        manifest = _manifest(folder, reader, benches, settings, name)
        write_manifest(folder, manifest)
        asked = _ask_all(reader, cells, folder, settings, progress)
        rows = [row for cell, answers in zip(cells, asked, strict=True) for row in rows_of(cell, answers, settings.seed)]
        write_rows(folder, _with_earlier(folder, manifest, rows))
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


def _checked(out: "str | os.PathLike[str]", benches: Sequence[Bench], settings: EvaluateSettings) -> Folder:
    """The folder, fit to hold answers to these benchmarks under these settings."""
    folder = Folder.of(out)
    if not folder.is_local:
        raise ConfigError(f"{folder.uri} is a URL; answers are appended to files, which wants a disk")
    if folder.local().is_file():
        raise InputError(f"{folder.uri} is a file; give another --out")
    if any(bench.manifest.metric == "caption" for bench in benches):
        check_captions()
    if is_evaluation(folder):
        _check_same(folder, Evaluation.open(folder).manifest, benches, settings)
    else:
        names = sorted({*os.listdir(folder.local())} - {".lock"}) if folder.local().is_dir() else []
        if names:
            raise InputError(f"{folder.uri} holds no evaluation ({names[0]} lies there); give another --out")
    return folder


def _check_same(folder: Folder, before: EvaluationManifest, benches: Sequence[Bench], settings: EvaluateSettings) -> None:
    now = settings.model_dump(mode="json")
    for key in SHAPING:
        if before.settings.get(key) != now[key]:
            raise ConfigError(f"{folder.uri} has answers under {key} {before.settings.get(key)}; give another --out")
    digests = {bench.name: bench.digest for bench in before.benches}
    other = next((bench.name for bench in benches if digests.get(bench.name, bench.digest) != bench.digest), None)
    if other:
        raise ConfigError(f"{folder.uri} has answers to another benchmark called {other}; give another --out")


def _manifest(
    folder: Folder, reader: Reader, benches: Sequence[Bench], settings: EvaluateSettings, name: str | None
) -> EvaluationManifest:
    """evaluation.json: what it had, and this."""
    known = {bench.name: _described(folder, bench) for bench in benches}
    facts = reader.facts()
    if is_evaluation(folder):
        before = Evaluation.open(folder).manifest
        if before.model != facts:
            changed = sorted(key for key in {*before.model, *facts} if before.model.get(key) != facts.get(key))
            raise ConfigError(f"{folder.uri} has answers of another model ({', '.join(changed)} differ); give another --out")
        known = {bench.name: bench for bench in before.benches} | known
        name = name or before.name
    return EvaluationManifest(FORMAT, name or reader.name, facts, settings.model_dump(mode="json"), tuple(known.values()))


def _described(folder: Folder, bench: Bench) -> EvaluatedBench:
    told = bench.manifest
    place = named_from(folder, bench.folder)
    return EvaluatedBench(bench.name, bench.digest, told.version, told.title, told.kind, told.metric, told.domain, place)


def _with_earlier(folder: Folder, manifest: EvaluationManifest, rows: Sequence[Row]) -> list[Row]:
    """These rows and those of cells that were not asked for this time, benchmark by benchmark."""
    new = {(row.bench, row.condition, row.shots) for row in rows}
    earlier = [row for row in Evaluation(folder, manifest).rows if (row.bench, row.condition, row.shots) not in new]
    benches, conditions = [bench.name for bench in manifest.benches], list(CONTROLS)
    return sorted([*earlier, *rows], key=lambda r: (benches.index(r.bench), r.shots, conditions.index(r.condition)))
