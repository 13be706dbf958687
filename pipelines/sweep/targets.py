"""What one trained trial came to: losses by source, accuracies, gains and skills, each with its standard error."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curate.evaluations import Evaluation, Row
from curate.shards.plans import Plan
from curate.statistics import by_group
from pipelines.jobs.paces import log_rows
from pipelines.sweep.setting import Setting
from pipelines.sweep.space import Space

Target = dict[str, float | None]
"""{"value": , "error": }"""

CAPTIONS = ("cider", "rouge-l")


def targets_of(setting: Setting, run: Path, evaluation: Path, step: int) -> dict[str, Target]:
    """All targets of a run at a step."""
    found = losses_of(run, step)
    if setting.benchmarks:
        opened = Evaluation.open(str(evaluation))
        for name, asked in setting.benchmarks.items():
            found |= scores_of(opened, name, tuple(asked["shots"]))
    return found


def losses_of(run: Path, step: int) -> dict[str, Target]:
    """loss/SOURCE of the held-out plan, as it was measured at a step."""
    rows = [row for row in log_rows(run) if row.get("kind") == "validation" and row["step"] == step]
    by_source = rows[-1]["losses"]["source"] if rows else {}
    return {f"loss/{name}": {"value": figures["loss"], "error": None} for name, figures in by_source.items()}


def scores_of(evaluation: Evaluation, name: str, shots: tuple[int, ...]) -> dict[str, Target]:
    """accuracy/BENCH/K and gain/BENCH/K, or skill/BENCH for a benchmark that is asked at 0 shots alone."""
    cells = {count: evaluation.row(name, "full" if count else "none", count) for count in shots}
    rows = {count: row for count, row in cells.items() if row is not None}
    if set(shots) == {0}:
        return {f"skill/{name}": _target(evaluation, rows[0])} if 0 in rows else {}
    found = {f"accuracy/{name}/{count}": _target(evaluation, row) for count, row in rows.items()}
    if 0 in rows:
        found |= {f"gain/{name}/{count}": _gain(evaluation, row, rows[0]) for count, row in rows.items() if count}
    return found


def _groups(evaluation: Evaluation, row: Row) -> dict[str, float]:
    answers = evaluation.answers(row.bench, row.condition, row.shots)
    return by_group([answer.right for answer in answers], [answer.group for answer in answers])


def _target(evaluation: Evaluation, row: Row) -> Target:
    return {"value": row.score, "error": None if row.metric in CAPTIONS else _error(_groups(evaluation, row).values())}


def _gain(evaluation: Evaluation, row: Row, zero: Row) -> Target:
    """K shots less 0 shots; the error is that of the differences where both asked the same groups."""
    value = row.score - zero.score
    if row.metric in CAPTIONS:
        return {"value": value, "error": None}
    some, none = _groups(evaluation, row), _groups(evaluation, zero)
    if set(some) == set(none) and (paired := _spread([some[name] - none[name] for name in some])):
        return {"value": value, "error": paired}
    one, other = _error(some.values()), _error(none.values())
    return {"value": value, "error": None if one is None or other is None else float(np.hypot(one, other))}


def _error(values: Iterable[float]) -> float | None:
    """The standard error of a mean of 0..1 over groups; None of a single group. Where all groups score alike, that of a share
    with one right and one wrong group more (Agresti and Coull 1998): 0 would say that nothing can be otherwise."""
    known = list(values)
    if len(known) < 2:
        return None
    share = (sum(known) + 1) / (len(known) + 2)
    return _spread(known) or float(np.sqrt(share * (1 - share) / (len(known) + 2)))


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def realised_of(plan: Plan, space: Space) -> dict[str, dict[str, float]]:
    """The shares of a plan on every axis of the space, as plan.json reports them."""
    return {one.axis: _realised(plan.manifest.report["requested"], one.axis, one.components) for one in space.simplices}


def _realised(rows: list[Mapping[str, Any]], axis: str, components: tuple[str, ...]) -> dict[str, float]:
    """The shares of the demand on an axis that speaks of the components; a component that is not named has none."""
    parts: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["axis"] == axis:
            parts.setdefault(str(sorted(row["within"].items())), {})[row["value"]] = row["realised"] / 100
    best = max(parts.values(), key=lambda part: len(set(part) & set(components)), default={})
    return {name: best.get(name, 0.0) for name in components} if best else {}


def tokens_of(run: Path) -> dict[str, int]:
    """Positions that a run was trained on, padding left out, and those that it learned from; a row of the log sums up the
    steps since the row before it."""
    before, real, supervised = 0, 0.0, 0
    for row in (row for row in log_rows(run) if row.get("kind") == "train"):
        rate = float((row.get("tokens_per_s") or {}).get("real") or 0.0)
        real += rate * float(row.get("step_s") or 0.0) * (int(row["step"]) - before)
        supervised += int(row.get("tokens") or 0)
        before = int(row["step"])
    return {"real": round(real), "supervised": supervised}
