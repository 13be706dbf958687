"""The objective over the mixes: triangles, lines and pairs with trials on them, and what each share and choice does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from curate.report.plots import Plot
from curate.report.wording import words
from pipelines.sweep.design import Trial
from pipelines.sweep.fitting import OBJECTIVE
from pipelines.sweep.report.gathering import Sweep
from pipelines.sweep.report.plots import Curve, Dot, common_scale, curve_plot
from pipelines.sweep.report.ternary import Dot as Spot
from pipelines.sweep.report.ternary import Field, ternary
from pipelines.sweep.report.verdict import Forest, forest
from pipelines.sweep.report.wording import between, breakable, column_name, figure, label, name_of, percent, within
from pipelines.sweep.space import Simplex

MOST_PAIRS = 12
MOST_CURVES = 24
CAPTION = 16
"""Characters under a plot on a narrow screen."""


@dataclass(frozen=True)
class Triangle:
    """A simplex of three components: the prediction, and how sure it is."""

    title: str
    note: str
    picture: Markup
    sure: Markup
    rows: Sequence[Sequence[str]]  # shares of the three, mean, sd
    head: Sequence[str]


@dataclass(frozen=True)
class Effects:
    """One figure of ten points more of each share, and of each level."""

    shares: Forest | None
    choices: Forest | None


def triangles(sweep: Sweep) -> list[Triangle]:
    """Of every simplex of three components or more."""
    assert sweep.fit is not None
    simplices = {one.axis: one for one in sweep.design.space.simplices}
    found = sweep.fit["objective"].get("ternaries", [])
    return [_triangle(sweep, told, simplices[told["axis"]]) for told in found if told["axis"] in simplices]


def _triangle(sweep: Sweep, told: Mapping[str, Any], one: Simplex) -> Triangle:
    axis, names = words(told["axis"]), [name_of(name) for name in told["components"]]
    three = len(one.components) == 3
    field, sure = Field.of(told, 3), Field.of(told, 4)
    dots = _spots(sweep, one, told["components"])
    note = "Shades and lines: the objective as fitted, all else as in the prior. Dots: trials, shaded by what they measured."
    note += " Blank: out of bounds."
    note += "" if three else f" The three of {len(one.components)} that matter most; dots show their shares among the three."
    rows = [[*(percent(share) for share in point[:3]), figure(point[3]), figure(point[4])] for point in told["points"]]
    if not any(True for _ in field.triangles()):
        note += " The bounds leave too little room for a picture of shades."
    pictures = (
        ternary(field, dots, f"Objective over {axis}: {', '.join(names)}"),
        ternary(sure, [], f"Standard deviation over {axis}: {', '.join(names)}", "doubt"),
    )
    return Triangle(f"Over {axis}", note, *pictures, rows, (*names, "objective", "standard deviation"))


def _spots(sweep: Sweep, one: Simplex, names: Sequence[str]) -> list[Spot]:
    """A dot for every mix, one for the prior, and one for the proposal."""
    assert sweep.fit is not None
    found, columns = [], [f"{one.axis}:{name}" for name in names]
    for trials in _mixes(sweep):
        row = sweep.row_of(trials[0])
        shares = [row[column] for column in columns]
        values = [sweep.objective[trial.id] for trial in trials if trial.id in sweep.objective]
        prior = trials[0].mix == sweep.design.baseline
        kind = "prior" if prior else "trial" if values else "failed"
        failed = any(sweep.statuses[trial.id].state == "failed" for trial in trials)
        if (values or failed) and sum(shares) > 1e-6:
            found.append(Spot(shares, _mean(values) if values else None, _title(sweep, trials), kind))
    made = sweep.fit["proposal"]["shares"].get(one.axis, {})
    shares = [float(made.get(name, 0.0)) for name in names]
    if sum(shares) > 1e-6:
        found.append(Spot(shares, None, f"proposal: {_said(names, shares)}", "proposal"))
    return found


def _mixes(sweep: Sweep) -> list[list[Trial]]:
    """Trials by mix; the one that has a result stands first."""
    found: dict[str, list[Trial]] = {}
    for trial in sweep.design.trials:
        found.setdefault(trial.mix, []).append(trial)
    return [sorted(trials, key=lambda trial: trial.id not in sweep.objective) for trials in found.values()]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _title(sweep: Sweep, trials: Sequence[Trial]) -> str:
    kinds = ", ".join(dict.fromkeys(kind for trial in trials for kind in trial.kinds))
    values = [figure(sweep.objective[trial.id]) for trial in trials if trial.id in sweep.objective]
    states = [words(sweep.statuses[trial.id].state) for trial in trials if trial.id not in sweep.objective]
    return f"{kinds} ({', '.join(trial.id for trial in trials)}): {', '.join([*values, *states])}"


def _said(names: Sequence[str], shares: Sequence[float]) -> str:
    return ", ".join(f"{name_of(name)} {percent(share)} %" for name, share in zip(names, shares, strict=True))


def lines(sweep: Sweep) -> list[Plot]:
    """Of every simplex of two components: the objective over the share of one of them, with trials on it."""
    assert sweep.fit is not None
    curves = {part["column"]: part for part in sweep.fit["objective"]["components"]}
    found = []
    for one in sweep.design.space.simplices:
        told = curves.get(f"{one.axis}:{one.components[0]}")
        if len(one.components) == 2 and told:
            found.append(_line(sweep, one, told))
    return found


def _line(sweep: Sweep, one: Simplex, told: Mapping[str, Any]) -> Plot:
    column, first = told["column"], one.components[0]
    curve = _curve(told, f"objective over {column_name(column)}")
    dots = []
    for trials in _mixes(sweep):
        for trial in trials:
            if trial.id in sweep.objective:
                kind = "prior" if trial.mix == sweep.design.baseline else "trial"
                dots.append(Dot(sweep.row_of(trial)[column], sweep.objective[trial.id], _title(sweep, [trial]), kind))
    near = [dot for dot in dots if min(curve.shares) - 1e-3 <= dot.x <= max(curve.shares) + 1e-3]
    picture = curve_plot(curve, one.prior[0], near, f"% {label(first, CAPTION)}", "objective", common_scale([curve], near))
    note = f"The objective as fitted with its interval, all else as in the prior; the rest is {name_of(one.components[1])}."
    note += " Dots are trials, which differ in other shares as well. The dashed line is the prior."
    return Plot(f"Over {words(one.axis)}", note, picture, [], _head(column), _rows(told))


def pairs(sweep: Sweep) -> tuple[list[Plot], int]:
    """Of simplices of more than three: pairs that trade shares, those that matter most first; and how many are left out."""
    assert sweep.fit is not None
    told = sorted(sweep.fit["objective"].get("pairs", []), key=lambda one: min(one["mean"]) - max(one["mean"]))
    kept = told[:MOST_PAIRS]
    scale = common_scale([_curve(one, "") for one in kept]) if kept else None
    priors = {(one.axis, name): share for one in sweep.design.space.simplices
              for name, share in zip(one.components, one.prior, strict=True)}  # fmt: skip
    found = []
    for one in kept:
        assert scale is not None
        a, b = one["components"]
        title = f"{name_of(a)} for {name_of(b)}"
        curve = _curve(one, f"objective as {title}")
        picture = curve_plot(curve, priors.get((one["axis"], a)), [], f"% {label(a, CAPTION)}", "objective", scale)
        found.append(
            Plot(title, f"Share of {words(one['axis'])} that goes from one to the other.", picture, [], _head(a), _rows(one))
        )
    return found, len(told) - len(kept)


def curves(sweep: Sweep) -> tuple[list[Plot], int]:
    """Every share's curve on one scale; and how many are left out."""
    assert sweep.fit is not None
    two = {f"{one.axis}:{name}" for one in sweep.design.space.simplices if len(one.components) == 2 for name in one.components}
    told = [one for one in sweep.fit["objective"]["components"] if one["column"] not in two]
    kept = told[:MOST_CURVES]
    scale = common_scale([_curve(one, "") for one in kept]) if kept else None
    priors = {f"{one.axis}:{name}": share for one in sweep.design.space.simplices
              for name, share in zip(one.components, one.prior, strict=True)}  # fmt: skip
    found = []
    for one in kept:
        assert scale is not None
        curve = _curve(one, f"objective over {column_name(one['column'])}")
        name = one["column"].partition(":")[2]
        picture = curve_plot(curve, priors.get(one["column"]), [], f"% {label(name, CAPTION)}", "objective", scale)
        ends = one["effect_low"], one["effect_high"]
        effect = f"{within(one['effect'], *ends)} for ten points more ({between(*ends)})"
        found.append(Plot(column_name(one["column"]), effect, picture, [], _head(name), _rows(one)))
    return found, len(told) - len(kept)


def _curve(told: Mapping[str, Any], title: str) -> Curve:
    return Curve(told["shares"], told["mean"], told["low"], told["high"], title)


def _head(name: str) -> tuple[str, ...]:
    return (f"% {name_of(name)}", "objective", "from", "to")


def _rows(told: Mapping[str, Any]) -> list[list[str]]:
    each = zip(told["shares"], told["mean"], told["low"], told["high"], strict=True)
    return [[percent(share), figure(mean), figure(low), figure(high)] for share, mean, low, high in each]


def effects(sweep: Sweep) -> Effects:
    """Of the objective."""
    assert sweep.fit is not None
    told = sweep.fit["objective"]
    shares = [
        (column_name(one["column"]), "", (one["effect"], one["effect_low"], one["effect_high"]), "")
        for one in told["components"]
        if one["column"] not in _mirrored(sweep)
    ]
    choices = [
        (f"{words(one['choice'])} {name_of(one['level'])}", f"against {name_of(_first(sweep, one['choice']))}",
         (one["effect"], one["low"], one["high"]), "")
        for one in told["choices"]
    ]  # fmt: skip
    return Effects(
        forest(shares, "change of the objective for ten points more") if shares else None,
        forest(choices, "change of the objective") if choices else None,
    )


def _mirrored(sweep: Sweep) -> set[str]:
    """The second of two components, whose effects are those of the first turned round."""
    return {f"{one.axis}:{one.components[1]}" for one in sweep.design.space.simplices if len(one.components) == 2}


def _first(sweep: Sweep, choice: str) -> str:
    return next((one.levels[0] for one in sweep.design.space.choices if one.name == choice), "the first")


def by_target(sweep: Sweep) -> tuple[list[Markup], list[tuple[str, list[tuple[str, str, str]]]]]:
    """Targets, and for each share and level its effect on them: figure, interval, class (clear where 0 lies outside)."""
    names = [name for name in sweep.responses if name != OBJECTIVE]
    rows: dict[str, dict[str, tuple[str, str, str]]] = {}
    for name in names:
        told = sweep.responses[name]
        for one in told["components"]:
            if one["column"] in _mirrored(sweep):
                continue
            rows.setdefault(column_name(one["column"]), {})[name] = _cell(
                told, one["effect"], one["effect_low"], one["effect_high"]
            )
        for one in told["choices"]:
            row = f"{words(one['choice'])} {name_of(one['level'])}"
            rows.setdefault(row, {})[name] = _cell(told, one["effect"], one["low"], one["high"])
    return [breakable(name) for name in names], [
        (row, [cells.get(name, ("–", "", "")) for name in names]) for row, cells in rows.items()
    ]


def _cell(told: Mapping[str, Any], effect: float, low: float, high: float) -> tuple[str, str, str]:
    clear = low > 0 or high < 0
    better = (effect > 0) == (told["better"] == "higher")
    return within(effect, low, high), between(low, high), ("good" if better else "bad") if clear else ""
