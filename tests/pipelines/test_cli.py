"""What a person meets at the command line, whatever the command."""

import resource
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from pipelines.cli import app


def commands() -> list[list[str]]:
    group = typer.main.get_command(app)
    paths = []
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        paths += [[name, sub] for sub in inner] if inner else [[name]]
    return paths


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(path: list[str]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert "xample" in result.output
    assert f"curate {' '.join(path)}" in result.output


def test_help_answers_in_under_half_a_second() -> None:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "--help"]
    best = min(_seconds(command) for _ in range(3))
    assert best < 0.5


def _seconds(command: list[str]) -> float:
    """Processor seconds, which a busy neighbour does not change."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_wrong_command_exits_2_and_names_what_is_wrong() -> None:
    result = subprocess.run([sys.executable, "-m", "pipelines.cli", "mien"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "mien" in result.stderr
