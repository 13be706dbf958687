"""`curate embed`: images and texts of a run into unit vectors."""

from enum import StrEnum
from typing import Annotated

import typer

from pipelines.console import Watch, answer, report_stage, say
from pipelines.options import AsJson, Config, DryRun, MaxRejected, Overrides, RunDir, Workers


class What(StrEnum):
    """What is embedded."""

    demonstrations = "demonstrations"
    documents = "documents"
    images = "images"


class Space(StrEnum):
    """Which vectors images get."""

    joint = "joint"
    tower = "tower"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("embed")(embed_run)


def embed_run(
    run: RunDir,
    workers: Workers,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="offline, open_clip:MODEL/TAG, open_clip:MODEL/FILE or open_clip:local-dir:DIR.  [default: offline]"
        ),
    ] = None,
    image_space: Annotated[
        Space | None, typer.Option(help="joint compares with texts; tower is better between images.  [default: joint]")
    ] = None,
    what: Annotated[
        What, typer.Option(help="Demonstrations, the nodes of documents, or all stored images.")
    ] = What.demonstrations,
    device: Annotated[str, typer.Option(help="cuda, mps or cpu; the best there is when left out.", show_default=False)] = "",
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006
    max_rejected: MaxRejected = 1.0,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Turns images and texts of a run into unit vectors, part by part; run again, it goes on where it stopped.

    The default encoder comes with the package and needs no network. It is small, and no CLIP; with a network,
    name a real one.

    Example:

        curate embed runs/demo --image-space tower

        curate embed runs/demo --encoder open_clip:ViT-B-32/laion2b_s34b_b79k
    """
    from curate.encoders import EmbedSettings, embed
    from curate.encoders.rows import count_of, inputs_of
    from curate.engine import check_rejected
    from curate.layout import Run
    from curate.settings import load

    chosen = [f"encoder={encoder}"] if encoder else []
    chosen += [f"image_space={image_space.value}"] if image_space else []
    settings, here = load(EmbedSettings, config, [*overrides, *chosen]), Run.at(run)
    if dry_run:
        count = count_of(here, what.value)
        plan = {"what": what.value, "records": count, "settings": settings.model_dump(), "inputs": inputs_of(here, what.value)}
        answer(plan) if as_json else say(
            f"would embed {count:,} {what.value} with {settings.encoder} ({settings.image_space})"
        )
        return
    watch = Watch()
    try:
        manifest = embed(here, settings, what.value, workers, watch, device)
    finally:
        watch.close()
    report_stage(manifest, as_json, encoder=manifest.inputs["encoder"][:12])
    check_rejected(manifest, max_rejected)
