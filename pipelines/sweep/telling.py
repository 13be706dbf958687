"""A sweep on the terminal: what it costs, which trials it has, how they ended."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.console import say, table
from pipelines.jobs.paces import clock
from pipelines.sweep.design import Design, Trial
from pipelines.sweep.report.wording import shares_of

SHOWN = 40
"""Trials that are listed; design.json has them all."""


def tell_design(design: Design) -> None:
    """The trials, and the cost."""
    kinds = Counter(kind for trial in design.trials for kind in trial.kinds)
    varied = [f"{one.axis}: {', '.join(one.components)}" for one in design.space.simplices]
    varied += [f"{one.name}: {', '.join(one.levels)}" for one in design.space.choices]
    say("varied: " + "; ".join(varied))
    axes = [one.axis for one in design.space.simplices] + [one.name for one in design.space.choices]
    rows = [_row(design, trial) for trial in design.trials[:SHOWN]]
    table("trials, shares in per cent in the order above", ("trial", "kinds", "seed", *axes), rows, left=2)
    if len(design.trials) > SHOWN:
        say(f"… and {len(design.trials) - SHOWN} more")
    table("kinds", ("kind", "trials"), [(kind, str(number)) for kind, number in kinds.items()])
    tell_cost(design.cost)


def _row(design: Design, trial: Trial) -> list[str]:
    shares = [shares_of(one, trial.point.shares[one.axis]) for one in design.space.simplices]
    levels = [trial.point.choices[one.name] for one in design.space.choices]
    return [trial.id, ", ".join(trial.kinds), str(trial.seed), *shares, *levels]


def tell_cost(cost: Mapping[str, Any]) -> None:
    """Runs, tokens, hours and repeats."""
    pace = cost["pace"]
    rows = [
        ("runs", f"{cost['runs']:,}"),
        ("mixes", f"{cost['mixes']:,}"),
        ("steps of a run", f"{cost['steps']:,}"),
        ("tokens", f"{cost['tokens']:,}"),
        ("time, one after the other", clock(cost["seconds"])),
        ("  a step", f"{pace['step_seconds']:.2f} s"),
        ("  a question", f"{pace['item_seconds']:.3f} s x {pace['items']:,}"),
        ("passes over a plan", f"{pace['passes']:.2f}"),
    ]
    rows += [(f"most repeats of {name} in a plan", f"{times:.2f}") for name, times in cost["most_repeats"].items()]
    table("what it costs, at the pace measured here", ("", ""), rows)
    for note in cost.get("notes", ()):
        say(note)
    if left := cost["left_out"]:
        kinds = ", ".join(
            f"{number} {kind}" for kind, number in Counter(kind for one in left for kind in one["kinds"]).items()
        )
        say(f"left out, as they are {left[0]['why']}: {len(left)} trials ({kinds})")


def tell_counts(counts: Mapping[str, int], out: Path) -> None:
    """How trials ended."""
    told = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in counts.items() if number)
    say(f"{out}: {told}; next: curate sweep fit {out}")
