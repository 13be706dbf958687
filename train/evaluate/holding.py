"""Which evaluation a folder holds, and what may be added to it."""

import os
from collections.abc import Sequence

from curate.benches import Bench
from curate.errors import ConfigError, InputError
from curate.evaluations import (
    FORMAT,
    EvaluatedBench,
    Evaluation,
    EvaluationManifest,
    Row,
    is_evaluation,
    named_from,
)
from curate.storage import TEMPORARY, Folder
from train.evaluate.captions import check_captions
from train.evaluate.cells import SHAPING, EvaluateSettings
from train.evaluate.controls import CONTROLS
from train.evaluate.records import Reader
from train.folder import LOCK


def checked(out: "str | os.PathLike[str]", benches: Sequence[Bench], settings: EvaluateSettings) -> Folder:
    """The folder, fit to hold answers to these benchmarks under these settings; ConfigError or InputError where it is not."""
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
        _check_empty(folder)
    return folder


def _check_empty(folder: Folder) -> None:
    names = os.listdir(folder.local()) if folder.local().is_dir() else []
    foreign = sorted(name for name in names if name != LOCK and not name.startswith(TEMPORARY))
    if foreign:
        raise InputError(f"{folder.uri} holds no evaluation ({foreign[0]} lies there); give another --out")


def _check_same(folder: Folder, before: EvaluationManifest, benches: Sequence[Bench], settings: EvaluateSettings) -> None:
    now = settings.model_dump(mode="json")
    for key in SHAPING:
        if before.settings.get(key) != now[key]:
            raise ConfigError(f"{folder.uri} has answers under {key} {before.settings.get(key)}; give another --out")
    digests = {bench.name: bench.digest for bench in before.benches}
    other = next((bench.name for bench in benches if digests.get(bench.name, bench.digest) != bench.digest), None)
    if other:
        raise ConfigError(f"{folder.uri} has answers to another benchmark called {other}; give another --out")


def manifest_for(
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


def with_earlier(folder: Folder, manifest: EvaluationManifest, rows: Sequence[Row]) -> list[Row]:
    """These rows and those of cells that were not asked for this time, benchmark by benchmark."""
    new = {(row.bench, row.condition, row.shots) for row in rows}
    earlier = [row for row in Evaluation(folder, manifest).rows if (row.bench, row.condition, row.shots) not in new]
    benches, conditions = [bench.name for bench in manifest.benches], list(CONTROLS)
    return sorted([*earlier, *rows], key=lambda r: (benches.index(r.bench), r.shots, conditions.index(r.condition)))
