"""Commands as processes of their own: started with a log each, waited for, and ended with whoever started them."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from curate.errors import ShotcraftError
from pipelines.jobs.job import LOGS, Job

PATIENCE = 120.0
"""Seconds that a job has to end after it was asked to."""


class Interrupted(ShotcraftError):
    """A signal ended the whole."""

    exit_code = 130


@dataclass
class Running:
    """A job that was started."""

    job: Job
    process: "subprocess.Popen[bytes]"
    log: IO[bytes]
    began: float


@dataclass(frozen=True)
class Ended:
    """A job whose process left."""

    job: Job
    code: int  # below 0: the signal that killed it
    seconds: float


class Listening:
    """Hears signals for what it started."""

    asked: int = 0
    """The signal that asked to stop."""

    @property
    def busy(self) -> bool:
        """Whether anything runs."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ends all that runs, and waits for it."""
        raise NotImplementedError

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Signals are noted in `asked` while the block runs; nothing that was started outlives an error."""
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            if self.busy:
                self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.asked = number


@dataclass
class Processes(Listening):
    """Jobs that run, in a folder."""

    out: Path
    threads: int
    running: list[Running] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether any of them runs."""
        return bool(self.running)

    def start(self, job: Job, more: Mapping[str, str] | None = None) -> None:
        """Starts a job; `more` are variables of its environment."""
        job.write_files(self.out)
        log = self.out / LOGS / f"{job.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = log.open("ab")
        stream.write(f"$ {job.shown()}\n".encode())
        stream.flush()
        process = subprocess.Popen(
            job.command(), cwd=self.out, env={**environment(self.threads), **(more or {})}, stdin=subprocess.DEVNULL,
            stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.running.append(Running(job, process, stream, time.monotonic()))

    def ended(self) -> list[Ended]:
        """Those that left since they were last asked for."""
        found = []
        for one in list(self.running):
            code = one.process.poll()
            if code is None:
                continue
            self.running.remove(one)
            one.log.close()
            found.append(Ended(one.job, code, time.monotonic() - one.began))
        return found

    def stop(self) -> None:
        """Asks what is running to end, to which trainings answer with a checkpoint, and waits for it."""
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


def environment(threads: int) -> dict[str, str]:
    """Commands find the code of this very program, whatever their folder, and share the cores."""
    code = str(Path(__file__).resolve().parents[2])
    paths = [code, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def last_words(out: Path, job: Job) -> str:
    """The last line of a job's log that speaks of an error, or its last line; at most 300 characters."""
    log = out / LOGS / f"{job.name}.log"
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "")[:300]


def signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    """A signal for a command and the workers it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
