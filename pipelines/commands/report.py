"""`curate report`: one HTML page about a run, about several training runs, or about several evaluations."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.console import Watch, answer, say
from pipelines.options import AsJson, Config, Overrides

Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN", help="The run's folder; of training runs and evaluations several.", show_default=False),
]
File = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="The page; RUN/report.html by default.", show_default=False),
]
MaxEpisodes = Annotated[
    int | None,
    typer.Option("--max-episodes", min=0, help="Episodes or answers in the gallery; 240 by default.", show_default=False),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="MODEL", help="Whom the others are compared with; the first by default.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


def report(
    runs: Runs,
    out: File = None,
    max_episodes: MaxEpisodes = None,
    against: Against = None,
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    as_json: AsJson = False,
) -> None:
    """Writes a self-contained HTML page about a run: counts, plots, the linter's verdict and a gallery of episodes.

    Of a training run, which is told by its metrics.jsonl, it has the curves; several training runs are laid over each
    other. Of evaluations (folders of curate evaluate) it has scores, controls, gains and answers, model beside model; runs of
    one model whose names end in seed-1, seed-2 and so on count as one. The page opens from disk and loads nothing from
    anywhere. It shows whatever is there so far.

    Example:

        curate report runs/first --max-episodes 100
        curate report runs/icl runs/icl-flat --out curves.html
        curate report evaluations/before evaluations/icl --out gains.html
    """
    from curate.errors import ConfigError
    from curate.evaluations import is_evaluation
    from curate.report.training import is_training

    wanted = [*overrides, *([f"max_episodes={max_episodes}"] if max_episodes is not None else [])]
    if any(map(is_evaluation, runs)):
        _evaluations(runs, out, config, wanted, against, as_json)
    elif against is not None:
        raise ConfigError("--against is for evaluations, the folders that curate evaluate writes")
    elif len(runs) > 1 or is_training(runs[0]):
        _curves(runs, out, as_json)
    else:
        _episodes(runs[0], out, config, wanted, as_json)


def _evaluations(
    places: list[str], out: Path | None, config: Path | None, overrides: list[str], against: str | None, as_json: bool
) -> None:
    from curate.report import ReportSettings
    from curate.report.evaluation import evaluation_page
    from curate.report.sheets import save
    from curate.settings import load
    from curate.storage import Folder

    made = evaluation_page(places, load(ReportSettings, config, overrides), against)
    path = save(made.html, Folder.of(places[0]), out)
    if as_json:
        facts = {name: getattr(made, name) for name in ("models", "benchmarks", "shown", "pictures", "missing_pictures")}
        answer({"report": str(path), "bytes": len(made.html), **facts})
        return
    size = f"{made.shown:,} answers in the gallery, {len(made.html) / 1e6:.1f} MB"
    counts = ((made.models, "model"), (made.benchmarks, "benchmark"))
    models, benchmarks = (f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    say(f"{models} on {benchmarks}, {size}: {path}")


def _curves(runs: list[str], out: Path | None, as_json: bool) -> None:
    from curate.errors import InputError
    from curate.report.training import is_training, write_training_page

    others = [run for run in runs if not is_training(run)]
    if others:
        raise InputError(f"{others[0]} is no training run (it has no metrics.jsonl); only training runs share a page")
    path = write_training_page(runs, out)
    if as_json:
        answer({"report": str(path), "bytes": path.stat().st_size, "runs": len(runs)})
    else:
        say(f"curves of {len(runs)} run{'s'[: len(runs) > 1]}, {path.stat().st_size / 1e6:.1f} MB: {path}")


def _episodes(run: str, out: Path | None, config: Path | None, overrides: list[str], as_json: bool) -> None:
    from curate.layout import Run
    from curate.report import ReportSettings, make_report
    from curate.settings import load

    place, watch = Run.at(run), Watch()
    try:
        made = make_report(place, load(ReportSettings, config, overrides), watch)
    finally:
        watch.close()
    path = made.save(place, out)
    if as_json:
        facts = {name: getattr(made, name) for name in ("episodes", "shown", "pictures", "missing_pictures")}
        answer({"report": str(path), "bytes": len(made.html), **facts})
        return
    size = f"{made.pictures:,} pictures, {len(made.html) / 1e6:.1f} MB"
    say(f"showing {made.shown:,} of {made.episodes:,} episodes, {size}: {path}")
