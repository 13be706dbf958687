"""`curate import`: captioned sets into demonstrations."""

from typing import Annotated

import typer

from pipelines.console import Watch, answer, report_stage, say
from pipelines.options import AsJson, Config, DryRun, MaxRejected, Out, Overrides, Workers

Kind = Annotated[
    str,
    typer.Argument(metavar="KIND", help="captions, metadata, classes, datasets, llava or emoji.", show_default=False),
]
Path_ = Annotated[
    str,
    typer.Argument(metavar="PATH", help="File or folder, sample:NAME, or a hub's data set name.", show_default=False),
]
Name = Annotated[str, typer.Option("--name", help="Name of the set in the run; from PATH by default.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("import")(import_command)


def import_command(
    kind: Kind,
    path: Path_,
    out: Out,
    workers: Workers,
    name: Name = "",
    config: Config = None,
    set_: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    max_rejected: MaxRejected = 0.5,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Imports a captioned set into RUN/demonstrations/NAME.

    captions: X.png beside X.txt. metadata: a CSV, JSONL or Parquet beside the images. classes: a folder for
    each class. datasets: any `datasets` data set, columns mapped by --set. llava: LLaVA's JSON. emoji: pictures
    named by code point. Unreadable records are rejected with a reason and counted.

    Example:

        curate import captions sample:tuxpaint-stamps-default --out runs/first
        curate import datasets photos.parquet --out runs/first --set image=[image] --set answer=caption
    """
    from curate.demonstrations.importing import import_set, prepare
    from curate.engine import check_rejected
    from curate.layout import Run
    from curate.settings import read_yaml, with_overrides

    settings = with_overrides(read_yaml(config) if config else {}, set_)
    _, name, checked = prepare(kind, path, settings, name)
    if dry_run:
        say(f"would import {path} as {kind} into {out}/demonstrations/{name}")
        answer(checked.model_dump(mode="json"))
        return
    manifest = import_set(kind, path, checked, Run.at(out), name, workers, Watch())
    report_stage(manifest, as_json, folder=f"{out}/demonstrations/{name}")
    check_rejected(manifest, max_rejected)
