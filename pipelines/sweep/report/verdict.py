"""What comes first: whether there is a better mix, which, by how much, how sure; and what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from curate.report.charts import Axis, Tick, against, forest_axis
from curate.report.evaluation.drawing import Mark, Span, band
from curate.report.training.lines import nice
from curate.report.wording import short, words
from pipelines.sweep.report.gathering import Sweep
from pipelines.sweep.report.wording import between, chance, mix, name_of, p_value, percent, signed, strayed, within

MOST_FAILURES = 20
LONGEST_ERROR = 600


@dataclass(frozen=True)
class Tile:
    """A figure in large."""

    figure: str
    unit: str
    extra: str = ""


@dataclass(frozen=True)
class Row:
    """An interval on an axis that several share."""

    name: str
    what: str
    picture: Markup
    figure: str
    beside: str


@dataclass(frozen=True)
class Forest:
    """Intervals under one another, and their axis."""

    rows: Sequence[Row]
    axis: Markup


@dataclass(frozen=True)
class Axes:
    """One simplex or choice of the proposal beside what it is compared with."""

    title: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, Markup, Sequence[str]]]  # component, bar, figures


def headline(sweep: Sweep) -> tuple[str, str]:
    """The title and the sentence under it."""
    if sweep.fit is None:
        if not len(sweep.seen):
            return "No results yet", "No trial has come to its end. Run the trials, then fit them."
        return "Not fitted yet", f"{len(sweep.seen)} trials have results, but there is no fit that says what they mean."
    gain = sweep.fit["proposal"]["gains"][0]
    sure = f"{100 * sweep.fit['settings']['level']:.0f}\u00a0% interval {between(gain['low'], gain['high'])}"
    told = f"{within(gain['gain'], gain['low'], gain['high'])} over the prior ({sure}), "
    told += f"better with a probability of {chance(gain['probability'])}, {p_value(gain['p'])}"
    if sweep.fit["proposal"]["significant"]:
        return "A better mix than the prior", f"The proposed mix is predicted {told}.{_fresh(sweep.fit)}"
    text = f"The best mix that these trials point to is predicted {told}. That is not enough to leave the prior."
    return "No significant difference", text + _fresh(sweep.fit)


def _fresh(fit: Mapping[str, Any]) -> str:
    if not (confirmed := fit.get("confirmed")):
        return ""
    best = confirmed[0]
    told = f"{within(best['gain'], best['low'], best['high'])} ({between(best['low'], best['high'])})"
    return f" Fresh seeds alone, which had no part in the choice, say {told} of the best mix that was run again."


def tiles(sweep: Sweep) -> list[Tile]:
    """The verdict's figures."""
    done = f"{sweep.counts.get('done', 0)} of {len(sweep.design.trials)}"
    last = Tile(done, "trials done", f"{len(sweep.runs)} mixes")
    if sweep.fit is None:
        return [last]
    gain, noise = sweep.fit["proposal"]["gains"][0], sweep.fit["objective"]["noise"]
    floor = f"{noise['sd']:.2g}" if noise["degrees"] else "unknown"
    extra = (
        f"standard deviation of runs of one mix, {noise['degrees']} degrees of freedom"
        if noise["degrees"]
        else "no mix was run twice"
    )
    interval = f"{100 * sweep.fit['settings']['level']:.0f}\u00a0% interval {between(gain['low'], gain['high'])}"
    return [
        Tile(within(gain["gain"], gain["low"], gain["high"]), "gain over the prior", interval),
        Tile(chance(gain["probability"]), "probability to beat the prior", f"{p_value(gain['p'])}, which knows of the search"),
        Tile(floor, "noise floor", extra),
        last,
    ]  # fmt: skip


def objective_said(sweep: Sweep) -> str:
    """What is maximised, in a line."""
    said = ""
    for name, weight in sweep.weights.items():
        sign = "−" if weight < 0 else "+"
        times = "" if abs(abs(weight) - 1) < 1e-9 else f"{abs(weight):.3g} × "
        said += (f" {sign} " if said else "−" * (weight < 0)) + times + name_of(name)
    return said


def warnings(sweep: Sweep) -> list[str]:
    """What a reader has to know before believing the rest."""
    found, counts = [], sweep.counts
    open_ = {state: counts[state] for state in ("running", "waiting") if state in counts}
    if open_:
        said = " and ".join(f"{number} {state}" for state, number in open_.items())
        found.append(f"The sweep has not come to its end: {said} of {len(sweep.design.trials)} trials.")
    if "failed" in counts:
        number = counts["failed"]
        said = "1 trial failed and is" if number == 1 else f"{number} trials failed and are"
        found.append(f"{said} left out of the fit; the reasons stand among the trials.")
    if "stopped_early" in counts:
        found.append(f"{_are(counts['stopped_early'])} left out of the fit, as halving stopped them early.")
    if left := sweep.design.cost.get("left_out"):
        found.append(f"{_are(len(left))} left out of the design: {short(str(left[0].get('why', '')), LONGEST_ERROR)}.")
    return found + (_of_fit(sweep, sweep.fit) if sweep.fit else [])


def _are(number: int) -> str:
    return "1 trial is" if number == 1 else f"{number} trials are"


def _of_fit(sweep: Sweep, fit: Mapping[str, Any]) -> list[str]:
    found, missing = [], fit["objective"]["missing"]
    if sum(fit["trials"].values()) != len(sweep.design.trials) or fit["trials"].get("done", 0) != sweep.counts.get("done", 0):
        found.append("The trials have changed since the fit (it knows " + _states(fit["trials"]) + "). Fit again.")
    elif fit["objective"]["runs"] + missing != len(sweep.seen):
        found.append(f"The results have changed since the fit: {len(sweep.seen)} trials have one. Fit again.")
    if (far := fit.get("strayed")) and far["trials"]:
        found.append(strayed(**far))
    if list(fit["columns"]) != list(sweep.design.space.columns):
        found.append("The fit is of another space than this design. Fit again.")
    if missing:
        found.append(f"{_are(missing)} left out of the fit, as part of the objective is missing.")
    for name, mixes in fit.get("too_few", {}).items():
        found.append(f"{name_of(name)} was measured for {mixes} mix{'es' if mixes != 1 else ''}, too few to be fitted.")
    for name, why in fit.get("models_left_out", {}).items():
        found.append(f"The model {name_of(name)} is left out: it {short(str(why), LONGEST_ERROR)}.")
    if fit["objective"]["explains"] is False:
        found.append(
            "The models predict no unseen mix better than the mean does: the pictures below may show nothing but noise."
        )
    return found


def _states(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {words(state)}" for state, number in counts.items())


def failures(sweep: Sweep) -> list[tuple[str, str, str]]:
    """Trials that failed: id, kinds, error; at most `MOST_FAILURES`."""
    failed = [trial for trial in sweep.design.trials if sweep.statuses[trial.id].state == "failed"]
    told = ((trial, sweep.statuses[trial.id]) for trial in failed[:MOST_FAILURES])
    return [(trial.id, ", ".join(trial.kinds), short(status.error or "no message", LONGEST_ERROR)) for trial, status in told]


def gains(fit: Mapping[str, Any]) -> Forest:
    """The proposal less each baseline."""
    told = fit["proposal"]["gains"]
    rows = [
        (
            f"over {words(one['baseline'])}",
            "better" if one["significant"] else "no significant difference",
            (one["gain"], one["low"], one["high"]),
            f"{chance(one['probability'])}, {p_value(one['p'])}",
        )
        for one in told
    ]
    return forest(rows, "gain of the objective")


def confirmed(sweep: Sweep) -> Forest | None:
    """Mixes that were run again, less the prior, on fresh seeds of both."""
    assert sweep.fit is not None
    rows = []
    for one in sweep.fit.get("confirmed", ()):
        runs = f"{one['runs']} fresh runs, the prior {one['prior_runs']}"
        rows.append((mix(sweep.design.space, one), runs, (one["gain"], one["low"], one["high"]), p_value(one["p"])))
    return forest(rows, "gain of the objective over the prior") if rows else None


def forest(rows: Sequence[tuple[str, str, tuple[float, float, float], str]], label: str) -> Forest:
    """Differences (value, low, high) with 0 in sight: name, remark, difference, what stands beside."""
    values = [value for _, _, three, _ in rows for value in three]
    axis = axis_of(values)
    drawn = []
    for name, what, (value, low, high), beside in rows:
        said = within(value, low, high)
        title = f"{name}: {said} ({between(low, high)})"
        picture = band([Span(0 if low > 0 or high < 0 else 7, value, low, high, title)], axis, [Mark("chance", 0.0)], title)
        drawn.append(Row(name, what, picture, said, beside or between(low, high)))
    return Forest(drawn, forest_axis(axis, label))


def axis_of(values: Sequence[float]) -> Axis:
    """A horizontal axis around differences and 0."""
    low, high = min(0.0, *values), max(0.0, *values)
    ticks = nice(low, high, 4) if high > low else [0.0, 1.0]
    return Axis(ticks[0], ticks[-1], [Tick(at, signed(at)) for at in ticks])


def proposed(sweep: Sweep) -> list[Axes]:
    """The proposal's shares beside those of prior, natural and uniform."""
    assert sweep.fit is not None
    made = sweep.fit["proposal"]
    others = {gain["baseline"]: gain for gain in made["gains"]}
    heads = ["proposal", *others]
    found = []
    for one in sweep.design.space.simplices:
        shares = [mix["shares"].get(one.axis, {}) for mix in (made, *others.values())]
        rows = []
        for name in one.components:
            each = [float(share.get(name, 0.0)) for share in shares]
            rows.append((name_of(name), against(each[0], each[1]), [percent(share) for share in each]))
        found.append(Axes(words(one.axis), heads, rows))
    return found


def proposed_choices(sweep: Sweep) -> list[tuple[str, str, str]]:
    """Choice, the proposal's level, the prior's."""
    assert sweep.fit is not None
    made = sweep.fit["proposal"]["choices"]
    return [
        (words(one.name), name_of(str(made.get(one.name, "–"))), name_of(one.levels[0])) for one in sweep.design.space.choices
    ]
