"""Runs the trials of a design: what is done stays done, what fails is begun again and then reported, never left out silently.

With halving, all trials go to the first rung, the best part of them to the next, and so on; the others keep the values that
they had when they were stopped.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from curate.errors import QualityError
from pipelines.jobs.job import LOGS, Job
from pipelines.jobs.paces import clock
from pipelines.jobs.processes import Ended, Interrupted, last_words
from pipelines.sweep.cost import going_on
from pipelines.sweep.design import Design, Trial
from pipelines.sweep.designs.making import PRIOR
from pipelines.sweep.engines import Engine
from pipelines.sweep.extending import CONFIRM
from pipelines.sweep.results import read_result
from pipelines.sweep.settings import SweepSpec
from pipelines.sweep.status import Status, reached, read_status, write_status
from pipelines.sweep.tasks import objective_of

POLL = 0.1


@dataclass
class SweepRunner:
    """A design, and the engine that its trials run on."""

    out: Path
    design: Design
    spec: SweepSpec
    engine: Engine
    say: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)  # trial -> error

    def run(self) -> dict[str, int]:
        """Trials by state. QualityError when some failed, once all others are done; Interrupted after a signal."""
        alive = list(self.design.trials)
        with self.engine.listening():
            for rung in self.spec.halving.rungs if self.spec.halving else ():
                self._stretch(alive, rung)
                alive = self._halved([trial for trial in alive if trial.id not in self.failed], rung)
            self._stretch(alive, None)
        counts = self.counts()
        if self.failed:
            first, error = next(iter(self.failed.items()))
            raise QualityError(
                f"{len(self.failed)} of {len(self.design.trials)} trials failed ({', '.join(self.failed)}), "
                f"{counts['done']} are done, {counts['stopped_early']} stopped early. The first, {first}: {error}"
                f" (all of it: {self.out / LOGS / 'trials' / first}.log). Run it again to try them again"
            )
        return counts

    def counts(self) -> dict[str, int]:
        """How many trials stand where."""
        states = Counter(read_status(self.out, trial.id).state for trial in self.design.trials)
        return {state: states.get(state, 0) for state in ("done", "stopped_early", "failed", "running", "waiting")}

    def _stretch(self, trials: Sequence[Trial], until: int | None) -> None:
        """Brings trials to a rung, or to their end."""
        todo = [trial for trial in trials if not reached(self.out, trial.id, until)]
        for trial in trials:
            self._mark_waiting(trial) if trial in todo else self._mark_done(trial, until)
        goal = "to their end" if until is None else f"to step {until:,}"
        self.say(f"{len(trials) - len(todo)} of {len(trials)} trials have come {goal} already")
        waiting, left, began = list(todo), dict.fromkeys((trial.id for trial in todo), self.spec.retries), time.monotonic()
        by_job = {job_of(trial, until).name: trial for trial in todo}
        while waiting or self.engine.busy:
            if self.engine.asked:
                self.say("stopping; trials leave a checkpoint")
                self.engine.stop()
                raise Interrupted("stopped; the same command goes on where it was")
            while waiting and self.engine.room:
                self._start(waiting.pop(0), until)
            for one in self.engine.ended():
                trial = by_job[one.job.name]
                if self._collected(trial, one, until, left):
                    waiting.append(trial)
                self._tell(trial, one, len(todo), sum(reached(self.out, t.id, until) for t in todo), began)
            time.sleep(POLL)

    def _start(self, trial: Trial, until: int | None) -> None:
        before = read_status(self.out, trial.id)
        write_status(self.out, trial.id, replace(before, state="running", attempts=before.attempts + 1, error=""))
        self.engine.start(job_of(trial, until))

    def _collected(self, trial: Trial, one: Ended, until: int | None, left: dict[str, int]) -> bool:
        """Notes how a trial's process ended; whether it is to be begun again."""
        before = read_status(self.out, trial.id)
        after = replace(before, seconds=round(before.seconds + one.seconds, 1))
        if one.code == 0 and reached(self.out, trial.id, until):
            write_status(self.out, trial.id, replace(after, state="done" if until is None else "waiting"))
            return False
        error = f"ended with {one.code}: {last_words(self.out, one.job)}"
        again = left[trial.id] > 0
        left[trial.id] -= 1
        write_status(self.out, trial.id, replace(after, state="waiting" if again else "failed", error=error))
        if not again:
            self.failed[trial.id] = error
        return again

    def _mark_waiting(self, trial: Trial) -> None:
        """Also one that was running when a sweep was killed, and one that failed before: it gets another chance."""
        before = read_status(self.out, trial.id)
        write_status(self.out, trial.id, replace(before, state="waiting"))

    def _mark_done(self, trial: Trial, until: int | None) -> None:
        before = read_status(self.out, trial.id)
        if reached(self.out, trial.id, None) and before.state != "done":
            write_status(self.out, trial.id, replace(before, state="done", error=""))

    def _halved(self, trials: Sequence[Trial], rung: int) -> list[Trial]:
        """The trials that go on: the prior's and confirmations, and the best of the others at the rung."""
        assert self.spec.halving is not None
        free = [trial for trial in trials if not {PRIOR, CONFIRM} & set(trial.kinds)]
        values = values_at(self.out, free, rung, self.spec.objective)
        best = sorted(free, key=lambda trial: -values[trial.id])[: going_on(len(free), self.spec.halving.eta)]
        on = {trial.id for trial in best}
        stopped = [t for t in free if t.id not in on and not reached(self.out, t.id, None)]
        for trial in stopped:
            write_status(self.out, trial.id, replace(read_status(self.out, trial.id), state="stopped_early"))
        if free:
            self.say(f"step {rung:,}: {len(best)} of {len(free)} trials go on, and the prior's")
        return [trial for trial in trials if trial not in stopped]

    def _tell(self, trial: Trial, one: Ended, todo: int, done: int, began: float) -> None:
        status: Status = read_status(self.out, trial.id)
        kinds, took = "/".join(trial.kinds), clock(one.seconds)
        if status.error:
            again = "is begun again" if status.state == "waiting" else "has failed"
            self.say(f"{trial.id} ({kinds}) {again} after {took}: {status.error}")
            return
        rest = (time.monotonic() - began) / max(1, done) * (todo - done)
        self.say(f"{trial.id} ({kinds}) in {took}; {done} of {todo}" + (f", about {clock(rest)} left" if todo > done else ""))


def job_of(trial: Trial, until: int | None) -> Job:
    """The command of a trial."""
    more = ("--until", str(until)) if until is not None else ()
    return Job(f"trials/{trial.id}", "trial", ("pipelines.sweep.trial", trial.id, *more))


def values_at(out: Path, trials: Sequence[Trial], rung: int, asked: dict[str, float]) -> dict[str, float]:
    """The objective of trials at a rung; the worst there is for one that lacks a target."""
    found = {trial.id: _targets_at(out, trial, rung) for trial in trials}
    names = list(dict.fromkeys(name for targets in found.values() for name in targets))
    weights = objective_of(names, asked) if names else {}
    return {
        name: sum(weight * targets[one] for one, weight in weights.items()) if set(weights) <= set(targets) else float("-inf")
        for name, targets in found.items()
    }


def _targets_at(out: Path, trial: Trial, rung: int) -> dict[str, float]:
    rungs = (read_result(out, trial.id) or {}).get("rungs", [])
    at: dict[str, Any] = next((one["targets"] for one in rungs if one["steps"] >= rung), {})
    return {name: one["value"] for name, one in at.items() if one["value"] is not None}
