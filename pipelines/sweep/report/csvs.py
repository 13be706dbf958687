"""ratios.csv and metrics.csv, as Olmix (Ai2) loads them: a row a run, joined on `run_id`.

Olmix knows one simplex: the columns of ratios.csv have to sum to 1. So ratios.csv has the shares of the sources, with replay
as one more of them where that varies, and every other axis has a file of its own, ratios-AXIS.csv. `name` says what the trial
is.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from curate.storage import Folder
from pipelines.sweep.design import Trial
from pipelines.sweep.report.gathering import Sweep
from pipelines.sweep.space import Simplex

RATIOS, METRICS = "ratios.csv", "metrics.csv"
KNOWN = ("run_id", "run", "name", "index")
"""Columns that Olmix takes for something else than a domain."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csvs(sweep: Sweep, out: Path) -> list[str]:
    """Writes the files and returns their names, ratios.csv and metrics.csv first."""
    files = {**ratios(sweep), METRICS: metrics(sweep)}
    ordered = sorted(files, key=lambda name: (name not in (RATIOS, METRICS), name == METRICS, name))
    for name in ordered:
        Folder.of(out).write(name, files[name].encode())
    return ordered


def ratios(sweep: Sweep) -> dict[str, str]:
    """File -> its text: shares as realised, of the trials that have results."""
    simplices = {one.axis: one for one in sweep.design.space.simplices}
    first = "source" if "source" in simplices else next(iter(simplices), None)
    if first is None:
        return {RATIOS: _table(["run_id", "name"], [_head(sweep, trial) for trial in sweep.seen.trials])}
    files = {RATIOS: _shares(sweep, simplices[first], simplices.get("replay") if first == "source" else None)}
    others = (one for axis, one in simplices.items() if axis != first)
    return files | {f"ratios-{_file(one.axis)}.csv": _shares(sweep, one, None) for one in others}


def metrics(sweep: Sweep) -> str:
    """All targets in their own units; a target that a trial lacks is empty."""
    names = list(sweep.seen.targets)
    columns = [sweep.seen.targets[name] for name in names]
    rows = [
        [*_head(sweep, trial), *("" if np.isnan(column[at]) else _plain(column[at]) for column in columns)]
        for at, trial in enumerate(sweep.seen.trials)
    ]
    return _table(["run_id", "name", *map(_safe, names)], rows)


def _shares(sweep: Sweep, one: Simplex, replay: Simplex | None) -> str:
    """One axis; with `replay`, its shares are of what is no replay, as plans have them."""
    apart = replay is not None and set(replay.components) == {"yes", "no"}
    names = [*one.components, *(["replay"] if apart else [])]
    rows = []
    for trial in sweep.seen.trials:
        row = sweep.row_of(trial)
        again = row["replay:yes"] if apart else 0.0
        shares = [row[f"{one.axis}:{name}"] for name in one.components]
        total = sum(shares) or 1.0
        kept = [share / total * (1 - again) for share in shares]
        rows.append([*_head(sweep, trial), *map(_plain, [*kept, *([again] if apart else [])])])
    return _table(["run_id", "name", *_domains(one.axis, names)], rows)


def _domains(axis: str, names: Sequence[str]) -> list[str]:
    """Headings that are no two alike and that Olmix takes for domains."""
    return [_safe(f"{axis}:{name}" if name in KNOWN or name in names[:at] else name) for at, name in enumerate(names)]


def _head(sweep: Sweep, trial: Trial) -> list[str]:
    choices: Mapping[str, str] = trial.point.choices
    said = [*trial.kinds, f"seed {trial.seed}", *(f"{name}={level}" for name, level in choices.items())]
    return [trial.id, _safe(" ".join(said))]


def _plain(value: float) -> str:
    return f"{float(value):.10g}"


def _safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _file(axis: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", axis)[:60] or "_"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head, *rows])
    return text.getvalue()
