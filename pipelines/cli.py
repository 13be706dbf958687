"""The one console script: `curate`. Every file in pipelines/commands adds its commands by `register(app)`."""

import importlib
import pkgutil
import sys

import typer

from pipelines import commands
from pipelines.console import fail, say

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From web pages and captioned images to verified in-context-learning episodes and shards.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from curate import __version__

        typer.echo(f"curate {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Options that stand before a command."""


for _module in sorted(module.name for module in pkgutil.iter_modules(commands.__path__)):
    importlib.import_module(f"pipelines.commands.{_module}").register(app)


def main() -> None:
    """Runs a command; a user's mistake is one line and exit 2 or 3, Ctrl-C is 130."""
    from curate.errors import ShotcraftError

    try:
        app()
    except ShotcraftError as error:
        fail(" ".join(str(error).split()), error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer has turned Ctrl-C into this
            say("interrupted; run the same command again and it goes on where it stopped")
        raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
