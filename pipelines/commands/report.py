"""`curate report`: one HTML page about a run."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.console import Watch, answer, say
from pipelines.options import AsJson, Config, Overrides, RunDir

File = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="The page; RUN/report.html by default.", show_default=False),
]
MaxEpisodes = Annotated[
    int | None,
    typer.Option("--max-episodes", min=0, help="Episodes in the gallery; 240 by default.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


def report(
    run: RunDir,
    out: File = None,
    max_episodes: MaxEpisodes = None,
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    as_json: AsJson = False,
) -> None:
    """Writes a self-contained HTML page about a run: counts, plots, the linter's verdict and a gallery of episodes.

    The page opens from disk and loads nothing from anywhere. It shows whatever stages are finished.

    Example:

        curate report runs/first --max-episodes 100
    """
    from curate.layout import Run
    from curate.report import ReportSettings, make_report
    from curate.settings import load

    wanted = [*overrides, *([f"max_episodes={max_episodes}"] if max_episodes is not None else [])]
    place, watch = Run.at(run), Watch()
    try:
        made = make_report(place, load(ReportSettings, config, wanted), watch)
    finally:
        watch.close()
    path = made.save(place, out)
    if as_json:
        facts = {name: getattr(made, name) for name in ("episodes", "shown", "pictures", "missing_pictures")}
        answer({"report": str(path), "bytes": len(made.html), **facts})
        return
    size = f"{made.pictures:,} pictures, {len(made.html) / 1e6:.1f} MB"
    say(f"showing {made.shown:,} of {made.episodes:,} episodes, {size}: {path}")
