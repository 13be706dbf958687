"""`curate lint-episodes`: is there a way to score on these episodes without learning in context?"""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import answer, table
from pipelines.options import AsJson, RunDir

if TYPE_CHECKING:
    from curate.episodes.lint import LintReport, Score

Margin = Annotated[
    float, typer.Option("--margin", min=0.0, max=1.0, help="How far above chance a shortcut's interval may begin.")
]


RULES = {
    "constant": "const",
    "label-prior": "prior",
    "copy-first": "first",
    "copy-last": "last",
    "majority": "major",
    "copy-nearest": "near",
}
"""Rules and what the table calls them."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("lint-episodes")(lint_episodes)


def lint_episodes(run: RunDir, margin: Margin = 0.05, as_json: AsJson = False) -> None:
    """Score blind shortcuts on built episodes, and look for leaks and duplicates.

    Constant answers, the label that is mostly right, copying the first, last or nearest demonstration and the majority
    of demonstrations are held against chance, for each format, number of shots and number of options. Writes
    RUN/episodes/lint.json.
    Exit 3 where a shortcut, a leak or a duplicate is over its bound.

    Example:

        curate lint-episodes runs/demo --margin 0.05
    """
    from curate.episodes.lint import check_lint, lint_run
    from curate.layout import Run

    report = lint_run(Run.at(run), margin)
    if as_json:
        answer(report.as_json())
    else:
        show_lint(report)
    check_lint(report)


def show_lint(report: "LintReport") -> None:
    """The report as tables for people; percentages, ! where a rule fails."""
    rows = [
        (f"{cell.format} {copies}", cell.shots, cell.ways or "-", f"{cell.episodes:,}", f"{cell.chance:.0%}", *scores)
        for cell in report.cells
        for copies, scores in _lines(cell.scores)
    ]
    head = ("what is copied", "shots", "of", "n", "chance", *RULES.values())
    table(f"right answers without a look at the picture, {report.episodes:,} episodes", head, rows)
    counts = [(what.replace("_", " "), f"{count:,}") for what, count in {**report.leaks, **report.duplicates}.items()]
    table("leaks and duplicates", ("", "episodes"), counts)


def _lines(scores: "list[Score]") -> list[tuple[str, list[str]]]:
    """A line for answers, and one for the labels they stand for where these differ."""
    lines = []
    for copies in ("answer", "label"):
        said = {s.rule: f"{s.accuracy:.0%}{'' if s.passed else '!'}" for s in scores if s.copies == copies}
        if said:
            lines.append((copies, [said.get(rule, "") for rule in RULES]))
    return lines
