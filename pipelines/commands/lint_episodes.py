"""`curate lint-episodes`: is there a way to score on these episodes without learning in context?"""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import answer, table
from pipelines.options import AsJson, RunDir

if TYPE_CHECKING:
    from curate.episodes.lint import CellReport, LintReport

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
    """The report as tables for people; ! where a rule fails."""
    rows = [row for cell in report.cells for row in _rows(cell)]
    head = ("shots/options", "n", "%", *RULES.values())
    table(f"percent right without a look, {report.episodes:,} episodes (chance: %)", head, rows)
    counts = [(what.replace("_", " "), f"{count:,}") for what, count in {**report.leaks, **report.duplicates}.items()]
    counts += [(f"{what.replace('_', ' ')}, asked for", f"{count:,}") for what, count in report.asked.items() if count]
    table("leaks and duplicates", ("", "episodes"), counts)


def _rows(cell: "CellReport") -> list[tuple[str, ...]]:
    """A line for copied answers, and one for the labels they stand for where a rule reads those."""
    rows = []
    for copies in ("answer", "label"):
        said = {s.rule: f"{100 * s.accuracy:.0f}{'' if s.passed else '!'}" for s in cell.scores if s.copies == copies}
        name = f"{cell.format} {cell.shots}/{cell.ways or '-'}" if copies == "answer" else "  labels"
        if said:
            rows.append((name, str(cell.episodes), f"{100 * cell.chance:.0f}", *(said.get(rule, "") for rule in RULES)))
    return rows
