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


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("lint-episodes")(lint_episodes)


def lint_episodes(run: RunDir, margin: Margin = 0.05, as_json: AsJson = False) -> None:
    """Score blind shortcuts on built episodes, and look for leaks and duplicates.

    Constant answers, copying the first, last or nearest demonstration and the majority of demonstrations are held
    against chance, for each format, number of shots and number of options. Writes RUN/episodes/lint.json.
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
    """The report as a table for people."""
    rows = [
        (f"{cell.format}", cell.shots, cell.ways or "-", f"{cell.episodes:,}", f"{cell.chance:.1%}", *_scores(cell.scores))
        for cell in report.cells
    ]
    head = ("format", "shots", "options", "episodes", "chance", "constant", "copy-first", "copy-last", "majority", "nearest")
    table(f"shortcuts in {report.episodes:,} episodes (copying the answer / the label; ! fails)", head, rows)
    counts = [(what.replace("_", " "), f"{count:,}") for what, count in {**report.leaks, **report.duplicates}.items()]
    table("leaks and duplicates", ("", "episodes"), counts)


def _scores(scores: "list[Score]") -> list[str]:
    """One cell a rule: accuracy of copying the answer / the label, where they differ."""
    said: dict[str, list[str]] = {}
    for score in scores:
        said.setdefault(score.rule, []).append(f"{score.accuracy:.1%}{'' if score.passed else '!'}")
    rules = ("constant", "copy-first", "copy-last", "majority", "copy-nearest")
    return [" / ".join(said.get(rule, ["-"])) for rule in rules]
