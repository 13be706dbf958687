"""`curate publish`: a run's shards as a version that others can pull."""

from typing import Annotated

import typer

from pipelines.console import answer, now_and_then, table
from pipelines.options import AsJson, DryRun, RunDir

Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="A folder, an fsspec URL, or hf://datasets/ORG/NAME.", show_default=False)
]
Version = Annotated[str, typer.Option("--version", help="MAJOR.MINOR.PATCH; a published version never changes.")]
Private = Annotated[bool, typer.Option("--private", help="On the Hub: make the repository private when it is created.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("publish")(publish)


def publish(
    run: RunDir, target: Target, version: Version, private: Private = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Publish RUN's shards, their manifest and a dataset card as TARGET/VERSION.

    The manifest goes last, so that readers see a version only when it is whole. Run the same command again after
    an interruption and it goes on; publishing the same content again changes nothing.

    Example:

        curate publish runs/demo s3://bucket/episodes --version 1.0.0
    """
    from dataclasses import asdict

    from curate.layout import Run
    from curate.shards.publishing import publish as send

    done = send(Run.at(run), target, version, private, dry_run, now_and_then())
    if as_json:
        answer({**asdict(done), "dry_run": dry_run})
        return
    title = f"would publish {target} {version}" if dry_run else f"published {target} {version}"
    rows = [("files sent", f"{len(done.sent):,}"), ("megabytes sent", f"{done.bytes_sent / 1e6:,.1f}")]
    table(title, ("", "count"), [*rows, ("files already there", f"{len(done.skipped):,}")])
