"""Runs jobs side by side: each as soon as what it needs is done, in the order given; what is done stays done.

Ctrl-C or SIGTERM ends what is running with a SIGTERM of its own, to which trainings answer with a checkpoint. A job that
fails lets the others that run come to their end, then the whole stops. Run it again and it goes on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from curate.errors import ShotcraftError
from pipelines.jobs.job import LOGS, Job
from pipelines.jobs.ledger import Ledger, ended
from pipelines.jobs.paces import clock
from pipelines.jobs.processes import Ended, Interrupted, Processes, last_words

POLL = 0.1


class JobError(ShotcraftError):
    """A command failed."""


@dataclass
class Runner:
    """Jobs, each behind its needs, and who may run beside whom."""

    out: Path
    jobs: list[Job]
    at_once: int
    threads: int
    say: Callable[[str], None]
    failed: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Runs what is not done; JobError with the end of its log for the first that failed, Interrupted after a signal."""
        ledger, processes = Ledger.of(self.out, self.jobs), Processes(self.out, self.threads)
        waiting = [job for job in self.jobs if not ledger.is_done(job)]
        done = {job.name for job in self.jobs} - {job.name for job in waiting}
        self.say(f"{len(done)} of {len(self.jobs)} jobs are done already")
        with processes.listening():
            while waiting or processes.running:
                if processes.asked:
                    self.say(f"stopping {len(processes.running)} jobs")
                    processes.stop()
                    raise Interrupted("stopped; the same command goes on where it was")
                self._start_ready(processes, waiting, done)
                for one in processes.ended():
                    self._collect(one, ledger, done)
                if self.failed and not processes.running:
                    raise JobError(self.failed[0])
                time.sleep(POLL)

    def _start_ready(self, processes: Processes, waiting: list[Job], done: set[str]) -> None:
        if self.failed:
            return
        for job in list(waiting):
            if len(processes.running) >= self.at_once:
                return
            taken = {one.job.alone_in for one in processes.running if one.job.alone_in}
            if done.issuperset(job.needs) and job.alone_in not in taken:
                waiting.remove(job)
                self.say(f"begins: {job.name}")
                processes.start(job)

    def _collect(self, one: Ended, ledger: Ledger, done: set[str]) -> None:
        if one.code == 0 and ended(self.out, one.job):
            ledger.note(one.job, one.seconds)
            done.add(one.job.name)
            self.say(f"done in {clock(one.seconds)}: {one.job.name} ({len(done)} of {len(self.jobs)})")
        else:
            self.failed.append(self._told(one.job, one.code))
            self.say(f"failed after {clock(one.seconds)}: {one.job.name}")

    def _told(self, job: Job, code: int) -> str:
        log = self.out / LOGS / f"{job.name}.log"
        return f"{job.name} ended with {code}: {last_words(self.out, job)} (all of it: {log}; the command: {job.shown()})"
