"""`curate bench build|show|check`: frozen benchmarks. Other files add commands to the group `bench`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import AsJson, DryRun, Overrides

bench = typer.Typer(no_args_is_help=True, help="Frozen benchmarks: build, import, look at and check them.")

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="YAML file: benchmarks and decontaminate.", show_default=False)]
BenchesOut = Annotated[
    str, typer.Option("--out", "-o", metavar="BENCHES", help="Folder that gets a folder a benchmark.", show_default=False)
]
BenchDir = Annotated[str, typer.Argument(metavar="BENCH", help="The benchmark's folder.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    bench.command("build")(build)
    bench.command("show")(show)
    bench.command("check")(check)
    app.add_typer(bench, name="bench")


def build(
    spec: SpecFile,
    out: BenchesOut,
    set_: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Build frozen benchmarks from the demonstrations of runs."""
    raise NotImplementedError


def show(place: BenchDir, as_json: AsJson = False) -> None:
    """Show what a benchmark holds and what answerers without a model score on it."""
    raise NotImplementedError


def check(place: BenchDir, as_json: AsJson = False) -> None:
    """Check a benchmark."""
    raise NotImplementedError
