"""`curate bench export-lmms`: a benchmark as tasks of lmms-eval."""

import typer

from pipelines.commands.bench import BenchDir, bench
from pipelines.console import answer, say
from pipelines.options import AsJson


def register(app: typer.Typer) -> None:
    """Adds the command to the group `bench`."""
    bench.command("export-lmms")(export_lmms_command)


def export_lmms_command(
    place: BenchDir,
    out: str = typer.Option(
        ..., "--out", "-o", metavar="DIR", help="Folder that gets a folder a benchmark.", show_default=False
    ),
    as_json: AsJson = False,
) -> None:
    """Write a benchmark as tasks of lmms-eval that keep the demonstrations' pictures, one task for each number of shots.

    lmms-eval joins its own few-shot examples as text; these tasks bring theirs as turns with pictures.

    Example:

        curate bench export-lmms benches/emoji --out lmms

        lmms-eval --include_path lmms --tasks shotcraft_emoji --model qwen2_5_vl
    """
    from curate.benches import Bench
    from curate.storage import Folder
    from pipelines.lmms import export_lmms

    found = Bench.open(place)
    names = export_lmms(found, Folder.of(out))
    if as_json:
        answer({"tasks": names, "tag": f"shotcraft_{found.name}", "folder": f"{out}/{found.name}"})
    else:
        say(f"{out}/{found.name}: {', '.join(names)}; run: lmms-eval --include_path {out} --tasks shotcraft_{found.name}")
