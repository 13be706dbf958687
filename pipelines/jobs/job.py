"""A job: one command with what it reads and needs."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LOGS = "logs"


@dataclass(frozen=True)
class Job:
    """One command, run in the folder of what it belongs to. All of them go on where they stopped when they are run again."""

    name: str  # such as train/coherent-0
    kind: str  # such as train: jobs of a kind are alike
    argv: tuple[str, ...]  # behind `python -m`
    needs: tuple[str, ...] = ()  # names of jobs that must be done first
    files: Mapping[str, str] = field(default_factory=dict)  # path -> text that the command reads, written before it starts
    alone_in: str = ""  # a place that only one job at a time may write to
    run: str = ""  # the folder of a training, whose summary says whether it came to its end

    def shown(self) -> str:
        """The command as one types it."""
        words = ("curate", *self.argv[1:]) if self.argv[0] == "pipelines.cli" else ("python", "-m", *self.argv)
        return shlex.join(words)

    def command(self) -> list[str]:
        """The command as it is started: this very Python, whatever the PATH."""
        return [sys.executable, "-m", *self.argv]

    def write_files(self, out: Path) -> None:
        """Writes what the command reads, where it is not there already."""
        for name, text in self.files.items():
            place = out / name
            if not place.is_file() or place.read_text(encoding="utf-8") != text:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")


def curate(*words: object) -> tuple[str, ...]:
    """A command of the command line."""
    return ("pipelines.cli", *map(str, words))
