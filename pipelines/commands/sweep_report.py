"""`curate sweep report`: a sweep on one page, and as tables for Olmix."""

import typer

from pipelines.commands.sweep import SweepDir, sweep
from pipelines.console import answer, say
from pipelines.options import AsJson


def register(app: typer.Typer) -> None:
    """Adds the command to the group `sweep`."""
    sweep.command("report")(report)


def report(out: SweepDir, as_json: AsJson = False) -> None:
    """Write a page about a sweep, whatever of it there is: OUT/report.html, OUT/ratios.csv and OUT/metrics.csv.

    The verdict, the proposed mix with its interval, the objective over the mixes, what each share does, predicted against
    measured beside the noise floor, gain against forgetting, all trials with what failed and why, the cost, and what to run
    next. The page opens from disk and loads nothing from anywhere. The tables are what Olmix loads: a row a run.

    Example:

        curate sweep report sweeps/first
    """
    from pipelines.sweep.report import write_sweep_report

    made = write_sweep_report(out)
    if as_json:
        facts = {name: getattr(made, name) for name in ("trials", "results", "fitted", "title")}
        answer({**facts, "files": [str(out / name) for name in made.files]})
        return
    say(f"{made.title}: {made.results} of {made.trials} trials have results{'' if made.fitted else ', not fitted'}")
    say(f"wrote {', '.join(str(out / name) for name in made.files)}")
