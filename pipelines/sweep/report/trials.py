"""All trials with their states and reasons, what they cost, and which would be next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curate.report.wording import short, words
from pipelines.jobs.paces import clock
from pipelines.sweep.design import Trial
from pipelines.sweep.report.gathering import Sweep
from pipelines.sweep.report.verdict import LONGEST_ERROR
from pipelines.sweep.report.wording import column_name, figure, mix, name_of, percent

MOST_TRIALS = 500
MOST_TARGETS = 12


@dataclass(frozen=True)
class Line:
    """A trial."""

    id: str
    kinds: str
    state: str
    kind: str  # class of the state
    seed: int
    runs: str  # of its mix
    attempts: str
    took: str
    objective: str
    targets: Sequence[str]
    shares: Sequence[str]
    error: str


def target_names(sweep: Sweep) -> list[str]:
    """Targets that have a column, those of the objective first."""
    names = [name for name in sweep.weights if name in sweep.seen.targets]
    return [*names, *(name for name in sweep.seen.targets if name not in names)][:MOST_TARGETS]


def columns(sweep: Sweep) -> list[str]:
    """Shares, then choices."""
    space = sweep.design.space
    shares = [column_name(f"{one.axis}:{name}") for one in space.simplices for name in one.components]
    return [*shares, *(words(one.name) for one in space.choices)]


def lines(sweep: Sweep) -> tuple[list[Line], int]:
    """The best first, then those without an objective as the design has them; and how many are left out."""
    trials = sorted(sweep.design.trials, key=lambda trial: -sweep.objective.get(trial.id, float("-inf")))
    return [_line(sweep, trial) for trial in trials[:MOST_TRIALS]], max(0, len(trials) - MOST_TRIALS)


def _line(sweep: Sweep, trial: Trial) -> Line:
    status, row = sweep.statuses[trial.id], sweep.row_of(trial)
    shares = [percent(row[f"{one.axis}:{name}"]) for one in sweep.design.space.simplices for name in one.components]
    chosen = [name_of(trial.point.choices[one.name]) for one in sweep.design.space.choices]
    result: Mapping[str, Any] = sweep.results.get(trial.id, {}).get("targets", {})
    values = [(result.get(name) or {}).get("value") for name in target_names(sweep)]
    runs = sweep.runs[trial.mix]
    return Line(
        trial.id,
        ", ".join(trial.kinds),
        words(status.state),
        {"failed": "bad", "done": "good"}.get(status.state, ""),
        trial.seed,
        f"{runs} runs of it" if runs > 1 else "",
        str(status.attempts) if status.attempts else "–",
        clock(status.seconds) if status.seconds else "–",
        figure(sweep.objective.get(trial.id)),
        [figure(value) for value in values],
        [*shares, *chosen],
        short(status.error, LONGEST_ERROR),
    )


@dataclass(frozen=True)
class Cost:
    """What the design said and what it came to."""

    facts: Sequence[tuple[str, str, str]]  # what, planned, so far
    repeats: Sequence[tuple[str, str]]  # source, most repeats in a plan


def cost(sweep: Sweep) -> Cost:
    """Runs, tokens, time, and repeats."""
    told = sweep.design.cost
    done = sweep.counts.get("done", 0)
    real = [int((result.get("tokens") or {}).get("real") or 0) for result in sweep.results.values()]
    seconds = sum(status.seconds for status in sweep.statuses.values())
    attempts = sum(status.attempts for status in sweep.statuses.values())
    facts = [
        ("runs", _count(told.get("runs", len(sweep.design.trials))), f"{done:,}"),
        ("mixes", _count(told.get("mixes", len(sweep.runs))), f"{len({t.mix for t in sweep.seen.trials}):,}"),
        ("steps of a run", _count(told.get("steps")), ""),
        ("tokens trained on", _count(told.get("tokens")), _count(sum(real) or None)),
        (
            "time, one after the other",
            clock(told["seconds"]) if told.get("seconds") else "–",
            clock(seconds) if seconds else "–",
        ),
        ("attempts", "", f"{attempts:,}"),
    ]
    facts += [("budget", name_of(str(told["budget"])), "")] if told.get("budget") else []
    repeats = [(name_of(name), f"{times:.2f}") for name, times in told.get("most_repeats", {}).items()]
    return Cost(facts, repeats)


def _count(value: object) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"


def following(sweep: Sweep) -> list[tuple[str, str]]:
    """Mixes to try next and the improvement that is expected of each."""
    told = sweep.fit["next"] if sweep.fit else []
    return [(mix(sweep.design.space, one), figure(one["expected_improvement"])) for one in told]
