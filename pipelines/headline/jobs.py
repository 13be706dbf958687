"""A job: one command with what it needs, and how it is known to be done."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from curate.storage import hash_json

DONE, LOGS = "done", "logs"

Kind = Literal["samples", "data", "model", "plan", "benches", "train", "evaluate", "report"]


@dataclass(frozen=True)
class Job:
    """One command, run in the experiment's folder. All of them go on where they stopped when they are run again."""

    name: str  # such as train/coherent-0
    kind: Kind
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


@dataclass(frozen=True)
class Ledger:
    """What is done, as OUT/done/NAME.json: the key of the job and the seconds it took. A job whose command, files or
    needs have changed has another key and is run again."""

    out: Path
    keys: Mapping[str, str]

    @classmethod
    def of(cls, out: Path, jobs: list[Job]) -> "Ledger":
        """The ledger of jobs, each of which stands behind its needs."""
        keys: dict[str, str] = {}
        for job in jobs:
            keys[job.name] = hash_json([job.argv, dict(job.files), [keys[need] for need in job.needs]])
        return cls(out, keys)

    def seconds(self, job: Job) -> float | None:
        """What it took; None for a job that is not done."""
        row = self._row(job)
        return float(row["seconds"]) if row.get("key") == self.keys[job.name] else None

    def is_done(self, job: Job) -> bool:
        """Whether this very job has come to its end."""
        return self.seconds(job) is not None

    def note(self, job: Job, seconds: float) -> None:
        """A job is done; seconds of interrupted attempts are not in it."""
        place = self._place(job)
        place.parent.mkdir(parents=True, exist_ok=True)
        row = {"key": self.keys[job.name], "seconds": round(seconds, 1), "command": job.shown()}
        fresh = place.with_suffix(".new")
        fresh.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
        fresh.replace(place)

    def _row(self, job: Job) -> dict[str, float | str]:
        try:
            row = json.loads(self._place(job).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return row if isinstance(row, dict) and isinstance(row.get("seconds"), int | float) else {}

    def _place(self, job: Job) -> Path:
        return self.out / DONE / f"{job.name}.json"


def ended(out: Path, job: Job) -> bool:
    """Whether a command that left without an error was at its end: a training that SIGTERM ended is not."""
    if not job.run:
        return True
    try:
        summary = json.loads((out / job.run / "summary.json").read_text(encoding="utf-8"))
        return bool(summary["step"] >= summary["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
