"""What is done: a note for each job that came to its end, which holds as long as the job is what it was."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.storage import hash_json
from pipelines.jobs.job import Job

DONE = "done"


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
