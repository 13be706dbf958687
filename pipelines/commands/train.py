"""`curate train`: one stage of training from a YAML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import answer, say, table
from pipelines.options import AsJson, DryRun, Overrides

if TYPE_CHECKING:
    from train.config import TrainConfig

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The stage's YAML file.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("train")(train_command)


def train_command(
    config: ConfigFile,
    overrides: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train one stage: align a projector, tune on instructions, or tune for in-context learning.

    Run it again and it goes on from its latest checkpoint. Ctrl-C and SIGTERM let the step in hand end and leave a
    checkpoint. On several GPUs start the same program with `torchrun --nproc-per-node 8 -m train CONFIG`.

    Example:

        curate train icl.yaml --set optimizer.lr=1e-4
    """
    from curate.settings import load
    from train.config import TrainConfig

    settings = load(TrainConfig, config, overrides)
    if dry_run:
        _tell_dry_run(settings, as_json)
        return
    from dataclasses import asdict

    from pipelines.training import watching
    from train.loop import train

    with watching() as watch:
        summary = train(settings, watch)
    if as_json:
        answer(asdict(summary))
    else:
        stopped = "stopped, the same command goes on; " if summary.signal else ""
        say(f"{settings.out}: {stopped}step {summary.step:,} of {summary.steps:,}; curves: curate report {settings.out}")
    raise typer.Exit(summary.exit_code)


def _tell_dry_run(settings: "TrainConfig", as_json: bool) -> None:
    from train.dryrun import dry_run

    found = dry_run(settings)
    if as_json:
        answer(found.as_json())
    else:
        table("what would be trained", ("", ""), found.table())
