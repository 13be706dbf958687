"""An engine that runs nothing: trials come to values that a test names, or fail as often as it says."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.jobs.job import LOGS, Job
from pipelines.jobs.processes import Ended
from pipelines.sweep.design import TRIALS, Design, Trial
from pipelines.sweep.space import Choice, Point, Simplex, Space

ALWAYS_FAILS = 99


def design_of(trials: int, halving: dict[str, Any] | None = None, retries: int = 1) -> Design:
    """Trials of two sources; the first three are runs of the prior."""
    space = Space((Simplex("source", ("a", "b"), (0.5, 0.5), (0.5, 0.5), (0.0, 0.0), (1.0, 1.0)),), (Choice("o", ("x", "y")),))
    made = [
        Trial(f"t{at:02d}", f"m{max(0, at - 2)}", ("prior",) if at < 3 else ("dirichlet",), max(0, 2 - at) * (at < 3),
              Point({"source": {"a": at / 20, "b": 1 - at / 20}}, {"o": "x"}), "k")
        for at in range(trials)
    ]  # fmt: skip
    spec = {"mix": "m", "train": "t", "mixes": {"source": {}}, "halving": halving, "retries": retries}
    return Design(spec, space, "m0", tuple(made))


class FakeEngine:
    """Jobs end as soon as they are asked about; `fails`: trial -> how often."""

    def __init__(self, out: Path, fails: dict[str, int] | None = None, at_once: int = 2, stop_after: int = 10_000) -> None:
        self.out, self.fails, self.at_once, self.stop_after = out, dict(fails or {}), at_once, stop_after
        self.asked, self.running, self.started, self.most = 0, [], [], 0
        self.stopped = False
        self.starts: Counter[str] = Counter()

    @property
    def room(self) -> bool:
        return len(self.running) < self.at_once

    @property
    def busy(self) -> bool:
        return bool(self.running)

    def start(self, job: Job) -> None:
        self.running.append(job)
        self.started.append(job)
        self.starts[job.argv[1]] += 1
        self.most = max(self.most, len(self.running))
        if len(self.started) >= self.stop_after:
            self.asked = 15

    def ended(self) -> list[Ended]:
        return [self._end(self.running.pop(0))] if self.running and not self.asked else []

    def _end(self, job: Job) -> Ended:
        trial, until = job.argv[1], int(job.argv[3]) if "--until" in job.argv else None
        if self.fails.get(trial, 0) > 0:
            self.fails[trial] -= 1
            log = self.out / LOGS / f"{job.name}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("reading\nerror: no such thing\n")
            return Ended(job, 2, 1.0)
        write_fake_result(self.out, trial, until)
        return Ended(job, 0, 1.0)

    def stop(self) -> None:
        self.stopped = True
        self.running.clear()

    @contextmanager
    def listening(self) -> Iterator[None]:
        yield


def write_fake_result(out: Path, trial: str, until: int | None) -> None:
    """The higher a trial's number, the better; at a rung with less of it."""
    place = out / TRIALS / trial / "result.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(place.read_text())["rungs"] if place.exists() else []
    number = int(trial[1:])
    targets = {"gain/b/1": {"value": number / (100 if until else 10), "error": 0.1}}
    rungs = [*before, {"steps": until, "targets": targets}] if until else before
    share = number / 20 + 0.001
    realised = {"source": {"a": share, "b": 1 - share}}
    place.write_text(json.dumps({"targets": {} if until else targets, "realised": realised, "rungs": rungs}))
