"""`curate mine`: web pages to interleaved documents."""

from typing import Annotated

import typer

from pipelines.console import Watch, report_stage, say, table
from pipelines.options import AsJson, Config, DryRun, MaxRejected, Out, Overrides, Workers


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("mine")(mine)


def mine(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE…", help="HTML files, folders, .zip or .tar archives.", show_default=False)
    ],
    out: Out,
    workers: Workers,
    name: Annotated[
        str, typer.Option("--name", help="Name of the source in the run.", show_default="the first source's")
    ] = "",
    licence: Annotated[
        str, typer.Option("--licence", help="Licence of the pages, as SPDX has it; goes into every record.")
    ] = "",
    preset: Annotated[str, typer.Option("--preset", help="Filters: obelics, mmc4, manual or none.")] = "obelics",
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006  # typer reads it, nobody writes it
    max_rejected: MaxRejected = 1.0,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Turns web pages into interleaved documents of text and verified pictures.

    Pages may be HTML files, folders or archives. Text and pictures keep their reading order; navigation, footers and
    notices go. Every threshold of a preset can be set, and a filter set to null is off.

    Example:

        curate mine help/en --out runs/demo --name gimp --licence GFDL-1.2+ --preset manual --set filters.image_side.min=100
    """
    from curate.documents import settings_of
    from curate.documents.mining import EXTRACTED, count_pages, name_of
    from curate.documents.mining import mine as mine_pages
    from curate.engine import StageManifest, check_rejected
    from curate.layout import Run
    from curate.settings import read_yaml

    settings = settings_of(preset, read_yaml(config) if config else {}, overrides, licence)
    if dry_run:
        counts = count_pages(sources, settings)
        table("would mine", ("source", "pages"), [(label, f"{pages:,}") for label, pages in counts.items()])
        say(f"filters: {', '.join(settings.filters) or 'none'}")
        return
    watch = Watch()
    try:
        manifest = mine_pages(sources, settings, Run.at(out), name, workers, watch)
    finally:
        watch.close()
    name = name or name_of(sources)
    tallies = {**StageManifest.load(Run.at(out).root / EXTRACTED / name).tallies, **manifest.tallies}
    report_stage(manifest, as_json, **({"tallies": tallies} if as_json else _lines(tallies)))
    say(f"documents are in {out}/documents/{name}")
    check_rejected(manifest, max_rejected)


def _lines(tallies: dict[str, dict[str, int]]) -> dict[str, str]:
    """Tallies as lines of the table."""
    return {f"{kind}: {what}": f"{count:,}" for kind, counts in tallies.items() for what, count in counts.items()}
