"""`curate pull`: a published version onto this disk, verified while it arrives."""

from typing import Annotated

import typer

from pipelines.console import answer, now_and_then, table
from pipelines.options import AsJson

Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Where it was published: a folder, an fsspec URL, hf://datasets/ORG/NAME.")
]
Dest = Annotated[str, typer.Argument(metavar="DEST", help="A local folder, empty or half-pulled.", show_default=False)]
Version = Annotated[str, typer.Option("--version", help="Version to pull; the highest when not given.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("pull")(pull)


def pull(source: Source, dest: Dest, version: Version = "", as_json: AsJson = False) -> None:
    """Download a published version and verify every file while it arrives.

    Run the same command again after an interruption: what is there and whole is not fetched again.

    Example:

        curate pull s3://bucket/episodes data/episodes --version 1.0.0
    """
    from dataclasses import asdict

    from curate.shards.pulling import pull as fetch

    done = fetch(source, dest, version, now_and_then())
    if as_json:
        answer(asdict(done))
        return
    rows = [("files fetched", f"{len(done.fetched):,}"), ("megabytes fetched", f"{done.bytes_fetched / 1e6:,.1f}")]
    table(
        f"pulled version {done.version} into {dest}", ("", "count"), [*rows, ("files already there", f"{len(done.skipped):,}")]
    )
