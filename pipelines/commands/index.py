"""`curate index`: vectors to a nearest-neighbour index."""

from enum import StrEnum
from typing import Annotated

import typer

from pipelines.console import Watch, answer, report_stage, table
from pipelines.options import AsJson, Config, DryRun, Overrides, RunDir


class Space(StrEnum):
    """Which vectors of the demonstrations."""

    image = "image"
    text = "text"


InSpace = Annotated[
    Space | None, typer.Option("--space", help="Which vectors to index; image by default.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("index")(index)


def index(
    run: RunDir,
    space: InSpace = None,
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006 - typer reads it, nobody changes it
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Builds the nearest-neighbour index over a run's embeddings (RUN/index).

    The index is exact below 200,000 vectors (`--set exact_below=N`) and approximate above: cells of which a
    query visits as many as a measured recall asks for. It is left alone when it is up to date.

    Example:

        curate index runs/demo

        curate index runs/demo --space text --set exact_below=50000 --set recall=0.99
    """
    from curate.layout import Run
    from curate.retrieval import Index, IndexSettings, build_index, plan_index
    from curate.settings import load

    wanted = [*overrides, f"space={space.value}"] if space else overrides
    settings = load(IndexSettings, config, wanted)
    place = Run.at(run)
    if dry_run:
        plan = plan_index(place, settings)
        if as_json:
            answer(plan)
        else:
            table("index would be", ("", ""), list(plan.items()))
        return
    watch = Watch()
    try:
        manifest = build_index(place, settings, progress=watch)
    finally:
        watch.close()
    facts = Index.open(place.index, settings.space).facts
    shown = {key: facts[key] for key in ("kind", "dim", "cells", "probes", "recall_at_10") if key in facts}
    report_stage(manifest, as_json, **shown)
