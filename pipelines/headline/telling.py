"""The summary as Markdown, for people; summary.json holds the same figures."""

import json
from collections.abc import Sequence
from pathlib import Path

from curate.statistics import Interval
from pipelines.headline.settings import Experiment
from pipelines.headline.summary import BASELINES, CONTROLS, Summary

MARKDOWN, PLAIN = "summary.md", "summary.json"


def write_summary(summary: Summary, experiment: Experiment, out: Path) -> Path:
    """OUT/summary.json and OUT/summary.md; returns the latter."""
    (out / PLAIN).write_text(json.dumps(summary.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    place = out / MARKDOWN
    place.write_text(markdown(summary, experiment), encoding="utf-8")
    return place


def markdown(summary: Summary, experiment: Experiment) -> str:
    """The whole page."""
    parts = [_gains(summary, experiment), _goals(summary), _stages(summary, experiment), _controls(summary, experiment)]
    parts += [_skill(summary, experiment), _trained(summary, experiment)]
    if summary.missing:
        parts.append(f"Not measured with all seeds yet: {', '.join(summary.missing)}.")
    return "\n\n".join(["# What ICL tuning buys", *filter(None, parts)]) + "\n"


def _gains(summary: Summary, experiment: Experiment) -> str:
    if not summary.gains:
        return ""
    head = ("benchmark", "tuned", "strongest reference", "gain", *BASELINES)
    rows = [
        (
            gain.bench + (" (unseen domain)" if gain.unseen else ""),
            shown(gain.tuned),
            f"{shown(gain.against)} {gain.reference}",
            shown(gain.gain, signed=True),
            *(f"{gain.baselines[name]:.1f}" if name in gain.baselines else "" for name in BASELINES),
        )
        for gain in summary.gains
    ]
    for name, mean in (("**mean**", summary.average), ("**mean, unseen domains**", summary.unseen)):
        rows += [(name, "", "", f"**{shown(mean, signed=True)}**", *("" for _ in BASELINES))] if mean else []
    shots = " and ".join(map(str, summary.shots))
    said = (
        f"Accuracy in per cent, the mean over {shots} shots and {len(summary.seeds)} seeds, with 95 % intervals over seeds "
        f"and questions. Tuned: {titled(experiment, experiment.claim.tuned)}."
    )
    return f"## Gains\n\n{said}\n\n{table(head, rows)}"


def _goals(summary: Summary) -> str:
    if not summary.goals:
        return ""
    rows = []
    for kept in summary.goals:
        goal = kept.goal
        bounds = [f">= {goal.at_least:g}"] if goal.at_least is not None else []
        bounds += [f"<= {goal.at_most:g}"] if goal.at_most is not None else []
        value = "" if kept.value is None else f"{kept.value:.1f}"
        said = {None: "not measured", True: "yes", False: "**no**"}[kept.kept]
        rows.append((goal.figure.replace("_", " "), " and ".join(bounds), value, said, goal.why))
    return f"## What was promised\n\n{table(('figure', 'bound', 'came out', 'kept', 'whose bound'), rows)}"


def _stages(summary: Summary, experiment: Experiment) -> str:
    benches = [bench for bench in experiment.claim.benches if any(bench in scores for scores in summary.stages.values())]
    if not benches:
        return ""
    rows = []
    for stage, scores in summary.stages.items():
        mean = f"{sum(scores.values()) / len(scores):.1f}" if len(scores) == len(benches) else ""
        less = shown(summary.behind[stage], signed=True) if stage in summary.behind else ""
        rows.append((titled(experiment, stage), *(f"{scores[b]:.1f}" if b in scores else "" for b in benches), mean, less))
    said = f"Over the questions that all were asked. The last column: {experiment.claim.tuned} less it, with its interval."
    return f"## All models\n\n{said}\n\n{table(('model', *benches, 'mean', 'tuned less it'), rows)}"


def _controls(summary: Summary, experiment: Experiment) -> str:
    if not summary.controls:
        return ""
    rows = [
        (titled(experiment, stage), *(f"{known[name]:.1f}" if name in known else "" for name in CONTROLS))
        for stage, known in summary.controls.items()
    ]
    said = "The mean over the benchmarks: no demonstrations, their words without pictures, answers shuffled, pictures swapped."
    return f"## Controls\n\n{said}\n\n{table(('model', *CONTROLS), rows)}"


def _skill(summary: Summary, experiment: Experiment) -> str:
    benches = [bench for bench in experiment.claim.skill if any(bench in scores for scores in summary.skill.values())]
    if not benches:
        return ""
    rows = [
        (titled(experiment, stage), *(f"{scores[b]:.1f}" if b in scores else "" for b in benches))
        for stage, scores in summary.skill.items()
    ]
    return f"## Single-image skill\n\n{table(('model', *benches), rows)}"


def _trained(summary: Summary, experiment: Experiment) -> str:
    if not summary.trained:
        return ""
    rows = [
        (titled(experiment, stage), f"{one.steps:,.0f}", f"{one.pictures:,.0f}", f"{one.hours:.2f}")
        for stage, one in summary.trained.items()
    ]
    return f"## Training\n\nMeans over seeds.\n\n{table(('model', 'steps', 'pictures shown', 'hours'), rows)}"


def titled(experiment: Experiment, stage: str) -> str:
    """A stage as tables call it."""
    known = experiment.stages.get(stage)
    return f"{stage}: {known.title}" if known and known.title else stage


def shown(interval: Interval, signed: bool = False) -> str:
    """71.2 [66.0, 76.1]."""
    sign = "+" if signed else ""
    return f"{interval.mean:{sign}.1f} [{interval.low:{sign}.1f}, {interval.high:{sign}.1f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column words, the others figures."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
