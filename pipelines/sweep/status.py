"""Where a trial stands: trials/ID/status.json, written whole, for people and reports. What is done is told by its result."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from curate.storage import Folder
from pipelines.sweep.design import TRIALS
from pipelines.sweep.results import STATUS, read_result

State = Literal["waiting", "running", "done", "failed", "stopped_early"]


@dataclass(frozen=True)
class Status:
    """A trial's state."""

    state: State = "waiting"
    attempts: int = 0  # processes that were started for it
    seconds: float = 0.0  # of all of them
    error: str = ""


def read_status(out: Path, trial: str) -> Status:
    """A trial's status; that of one that waits where there is none, or none that can be read."""
    try:
        return Status(**json.loads((out / TRIALS / trial / STATUS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Status()


def write_status(out: Path, trial: str, status: Status) -> None:
    """Replaces a trial's status."""
    Folder.of(out / TRIALS / trial).write(STATUS, (json.dumps(asdict(status), indent=2) + "\n").encode())


def is_done(out: Path, trial: str) -> bool:
    """Whether a trial came to its end."""
    result = read_result(out, trial)
    return result is not None and bool(result["targets"])


def reached(out: Path, trial: str, steps: int | None) -> bool:
    """Whether a trial has its values at a rung, or, without one, is done."""
    result = read_result(out, trial)
    if result is None:
        return False
    return bool(result["targets"]) or (steps is not None and any(rung["steps"] >= steps for rung in result["rungs"]))
