"""Runs jobs side by side: each as soon as what it needs is done, in the order given; what is done stays done.

Ctrl-C or SIGTERM ends what is running with a SIGTERM of its own, to which trainings answer with a checkpoint. A job that
fails lets the others that run come to their end, then the whole stops. Run it again and it goes on.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from curate.errors import ShotcraftError
from pipelines.headline.jobs import LOGS, Job, Ledger, ended

POLL = 0.1
PATIENCE = 120.0
"""Seconds that a job has to end after it was asked to."""


class JobError(ShotcraftError):
    """A command of the experiment failed."""


class Interrupted(ShotcraftError):
    """A signal ended the experiment."""

    exit_code = 130


@dataclass
class Running:
    """A job that was started."""

    job: Job
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]
    began: float


@dataclass
class Runner:
    """Jobs, each behind its needs, and who may run beside whom."""

    out: Path
    jobs: list[Job]
    at_once: int
    threads: int
    say: Callable[[str], None]
    running: list[Running] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    asked: int = 0  # the signal that asked to stop

    def run(self) -> None:
        """Runs what is not done; JobError with the end of its log for the first that failed, Interrupted after a signal."""
        ledger = Ledger.of(self.out, self.jobs)
        waiting = [job for job in self.jobs if not ledger.is_done(job)]
        done = {job.name for job in self.jobs} - {job.name for job in waiting}
        self.say(f"{len(done)} of {len(self.jobs)} jobs are done already")
        with self._listening():
            while waiting or self.running:
                if self.asked:
                    self._stop()
                    raise Interrupted("stopped; the same command goes on where it was")
                self._start_ready(waiting, done)
                self._collect(ledger, done)
                if self.failed and not self.running:
                    raise JobError(self.failed[0])
                time.sleep(POLL)

    def _start_ready(self, waiting: list[Job], done: set[str]) -> None:
        if self.failed:
            return
        for job in list(waiting):
            if len(self.running) >= self.at_once:
                return
            if done.issuperset(job.needs) and not self._taken(job):
                waiting.remove(job)
                self.running.append(self._started(job))

    def _taken(self, job: Job) -> bool:
        return bool(job.alone_in) and job.alone_in in {one.job.alone_in for one in self.running}

    def _started(self, job: Job) -> Running:
        job.write_files(self.out)
        log = self.out / LOGS / f"{job.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = log.open("ab")
        stream.write(f"$ {job.shown()}\n".encode())
        stream.flush()
        self.say(f"begins: {job.name}")
        process = subprocess.Popen(
            job.command(), cwd=self.out, env=self._environment(), stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        return Running(job, process, stream, time.monotonic())

    def _environment(self) -> dict[str, str]:
        """The commands find the code of this very program, whatever their folder, and share the cores."""
        code = str(Path(__file__).resolve().parents[2])
        paths = [code, *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "OMP_NUM_THREADS": str(self.threads), "PYTHONPATH": os.pathsep.join(paths)}

    def _collect(self, ledger: Ledger, done: set[str]) -> None:
        for one in list(self.running):
            code = one.process.poll()
            if code is None:
                continue
            self.running.remove(one)
            one.log.close()
            took = time.monotonic() - one.began
            if code == 0 and ended(self.out, one.job):
                ledger.note(one.job, took)
                done.add(one.job.name)
                self.say(f"done in {clock(took)}: {one.job.name} ({len(done)} of {len(self.jobs)})")
            else:
                self.failed.append(self._told(one.job, code))
                self.say(f"failed after {clock(took)}: {one.job.name}")

    def _told(self, job: Job, code: int) -> str:
        log = self.out / LOGS / f"{job.name}.log"
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        last = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "")
        return f"{job.name} ended with {code}: {last[:300]} (all of it: {log}; the command: {job.shown()})"

    def _stop(self) -> None:
        """Asks what is running to end and waits for it."""
        self.say(f"stopping {len(self.running)} jobs")
        for one in self.running:
            signal_group(one.process, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        for one in self.running:
            try:
                one.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                signal_group(one.process, signal.SIGKILL)
                one.process.wait()
            one.log.close()
        self.running.clear()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Signals are noted while the block runs; nothing that was started outlives an error."""
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            if self.running:
                self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.asked = number


def signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    """A signal for a command and the workers it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def clock(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 05 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
