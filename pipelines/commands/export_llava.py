"""`curate export-llava`: demonstrations for tools that read LLaVA's JSON."""

from typing import Annotated

import typer

from pipelines.console import answer, say
from pipelines.options import AsJson, RunDir

To = Annotated[str, typer.Option("--to", metavar="DIR", help="Folder for llava.json and images/.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export-llava")(export_command)


def export_command(run: RunDir, to: To, as_json: AsJson = False) -> None:
    """Writes all demonstrations of a run as LLaVA JSON with their images; `curate import llava` reads it back.

    Example:

        curate export-llava runs/first --to exported
    """
    from curate.demonstrations.exporting import export_llava
    from curate.layout import Run
    from curate.storage import Folder

    place = Run.at(run)
    count = export_llava(place.demonstrations(), place.images, Folder.of(to))
    say(f"{count:,} demonstrations are now in {to}/llava.json")
    if as_json:
        answer({"demonstrations": count, "file": f"{to}/llava.json"})
