"""Targets one by one: predicted against actual on mixes that were held out, what seeds alone do, and what is traded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.report.plots import Plot
from pipelines.sweep.fitting import OBJECTIVE
from pipelines.sweep.report.gathering import Sweep
from pipelines.sweep.report.plots import Dot, against_plot, front_plot, is_wild
from pipelines.sweep.report.wording import figure, label, name_of
from pipelines.sweep.results import better_when_lower

MOST_PLOTS = 12


@dataclass(frozen=True)
class Told:
    """What is known of one target."""

    name: str
    better: str
    runs: int
    missing: int
    noise: str
    model: str
    spearman: str
    r2: str
    error: str
    verdict: str
    mixes: Sequence[str]  # predicted of the proposal, then of the baselines


@dataclass(frozen=True)
class Front:
    """Gain against forgetting."""

    plot: Plot
    gains: str  # what the vertical axis is
    skills: str
    on_front: int


def table(sweep: Sweep) -> list[Told]:
    """The objective and all targets."""
    return [_told(sweep, name, told) for name, told in sweep.responses.items()]


def baselines(sweep: Sweep) -> list[str]:
    """The mixes that predictions are told of."""
    return list(sweep.responses[OBJECTIVE].get("predicted", {})) if sweep.fit else []


def _told(sweep: Sweep, name: str, told: Mapping[str, Any]) -> Told:
    noise, nested = told["noise"], told["nested"]
    ranks = nested and nested["spearman"]
    mixes = told.get("predicted", {})
    predicted = [
        f"{figure(mixes[one]['mean'])} ± {figure(mixes[one]['sd'])}" if one in mixes else "–" for one in baselines(sweep)
    ]
    return Told(
        name_of(name), told["better"], told["runs"], told["missing"],
        figure(noise["sd"]) if noise["degrees"] else "unknown", name_of(told["chosen"]),
        "–" if ranks is None else f"{ranks:.2f}", f"{nested['r2']:.2f}" if nested else "–",
        figure(nested["rmse"]) if nested else "–",
        told["verdict"], predicted,
    )  # fmt: skip


def against(sweep: Sweep) -> tuple[list[Plot], int]:
    """Predicted against actual, of the objective and then of the targets; and how many are left out."""
    names = list(sweep.responses)
    return [_against(sweep, name) for name in names[:MOST_PLOTS]], max(0, len(names) - MOST_PLOTS)


def _against(sweep: Sweep, name: str) -> Plot:
    told = sweep.responses[name]
    held = any(row["held_out"] is not None for row in told["predictions"])
    side = "held_out" if held else "fitted"
    rows = [row for row in told["predictions"] if row[side] is not None]
    dots = [Dot(row[side], row["observed"], _said(row, side), _kind(sweep, row)) for row in rows]
    noise, across = told["noise"]["sd"], "predicted, held out" if held else "fitted (nothing was held out)"
    picture = against_plot(dots, noise, across, "measured", f"{name_of(name)}: measured by predicted")
    cells = [
        [row["trial"], str(row["seed"]), *(figure(row[key]) for key in ("observed", "held_out", "fitted", "sd"))]
        for row in rows
    ]
    head = ("trial", "seed", "measured", "held out", "fitted", "its sd")
    wild = sum(is_wild(row[side], [row["observed"] for row in rows]) for row in rows)
    note = told["verdict"] + (
        f". {wild} wild prediction{'s' if wild > 1 else ''} stand{'s' if wild == 1 else ''} at the edge" if wild else ""
    )
    return Plot(name_of(name), note[:1].upper() + note[1:] + ".", picture, [], head, cells)


def _kind(sweep: Sweep, row: Mapping[str, Any]) -> str:
    return "prior" if row["mix"] == sweep.design.baseline else "trial"


def _said(row: Mapping[str, Any], side: str) -> str:
    return f"{row['trial']}, seed {row['seed']}: measured {figure(row['observed'])}, predicted {figure(row[side])}"


def front(sweep: Sweep) -> Front | str:
    """The Pareto front of gain against forgetting; a sentence where there is none to be told."""
    names = list(sweep.seen.targets)
    skills = [name for name in names if name.startswith("skill/")]
    gains = [name for name in names if name.startswith("gain/")] or [
        n for n in names if n.startswith("accuracy/") and not n.endswith("/0")
    ]
    if not skills:
        return (
            "Forgetting is not known: no trial was asked what it knows by itself (a benchmark at 0 shots alone gives skill/…)."
        )
    if not gains:
        return "No trial was asked with demonstrations (gain/… or accuracy/…), so there is nothing to hold against forgetting."
    places = _places(sweep, skills, gains)
    if not places:
        return f"No trial has all of {', '.join(map(name_of, [*gains, *skills]))}."
    best = _undominated([(x, y) for x, y, _, _ in places.values()])
    dots = [
        Dot(x, y, _mix_said(mix, x, y, ids), _front_kind(sweep, mix, on))
        for (mix, (x, y, ids, _)), on in zip(places.items(), best, strict=True)
    ]
    dots += _proposal(sweep, skills, gains)
    note = "A dot a mix, its seeds averaged; right and up is better. Mixes on the line are beaten by no other in both."
    x_label, y_label = _mean_of(skills), _mean_of(gains)
    rows = sorted(
        ([", ".join(ids), ", ".join(kinds), figure(x), figure(y), "yes" if on else ""]
         for (x, y, ids, kinds), on in zip(places.values(), best, strict=True)),
        key=lambda row: row[4] != "yes",
    )  # fmt: skip
    picture = front_plot(dots, x_label, y_label, f"{y_label} against {x_label}")
    plot = Plot(
        "What is learned against what is kept", note, picture, [], ("trials", "kinds", x_label, y_label, "on the front"), rows
    )
    return Front(plot, ", ".join(map(name_of, gains)), ", ".join(map(name_of, skills)), sum(best))


def _mean_of(names: Sequence[str]) -> str:
    kind = names[0].partition("/")[0]
    return label(names[0], 24) if len(names) == 1 else f"mean {kind} of {len(names)}"


def _places(sweep: Sweep, skills: Sequence[str], gains: Sequence[str]) -> dict[str, tuple[float, float, list[str], list[str]]]:
    """Mix -> mean skill, mean gain, its trials, their kinds; of trials that have all of them."""
    found: dict[str, list[tuple[float, float, str, Sequence[str]]]] = {}
    for at, trial in enumerate(sweep.seen.trials):
        x, y = (sum(float(sweep.seen.targets[name][at]) for name in names) / len(names) for names in (skills, gains))
        if x == x and y == y:
            found.setdefault(trial.mix, []).append((x, y, trial.id, trial.kinds))
    return {
        mix: (sum(r[0] for r in runs) / len(runs), sum(r[1] for r in runs) / len(runs), [r[2] for r in runs],
              list(dict.fromkeys(kind for r in runs for kind in r[3])))
        for mix, runs in found.items()
    }  # fmt: skip


def _undominated(places: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether no other place is as good in both and better in one."""
    return [not any(a >= x and b >= y and (a, b) != (x, y) for a, b in places) for x, y in places]


def _front_kind(sweep: Sweep, mix: str, on: bool) -> str:
    return " ".join([*(["front"] if on else []), "prior" if mix == sweep.design.baseline else "trial"])


def _mix_said(mix: str, x: float, y: float, ids: Sequence[str]) -> str:
    return f"mix {mix} ({', '.join(ids)}): {figure(x)}, {figure(y)}"


def _proposal(sweep: Sweep, skills: Sequence[str], gains: Sequence[str]) -> list[Dot]:
    """Where the proposal is predicted to lie."""
    told = {name: sweep.responses.get(name, {}).get("predicted", {}).get("proposal") for name in (*skills, *gains)}
    if any(one is None for one in told.values()) or any(map(better_when_lower, told)):
        return []
    x, y = (sum(told[name]["mean"] for name in names) / len(names) for names in (skills, gains))
    return [Dot(x, y, f"proposal, as predicted: {figure(x)}, {figure(y)}", "proposal")]
