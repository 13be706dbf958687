"""Where trials run: as processes of this machine, side by side, or as tasks of Ray. Both start the same command."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from curate.errors import ConfigError, MissingToolError
from pipelines.jobs.job import LOGS, Job
from pipelines.jobs.processes import Ended, Listening, Processes, cores, environment

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Starts jobs and says which ended."""

    asked: int  # the signal that asked to stop, 0 for none

    @property
    def room(self) -> bool:
        """Whether another job may be started."""

    @property
    def busy(self) -> bool:
        """Whether any job runs."""

    def start(self, job: Job) -> None:
        """Starts one."""

    def ended(self) -> list[Ended]:
        """Those that ended since this was last asked."""

    def stop(self) -> None:
        """Ends all that runs, and waits for it."""

    def listening(self) -> AbstractContextManager[None]:
        """While the block runs, signals are noted in `asked`; nothing that was started outlives it."""


class Local(Processes):
    """Processes side by side, each with its share of the cores, and a GPU of its own while there are enough."""

    def __init__(self, out: Path, at_once: int, devices: tuple[str, ...] = ()) -> None:
        super().__init__(out, max(1, cores() // at_once))
        self._at_once, self._devices = at_once, devices
        self._on: dict[str, str] = {}  # job -> device

    @property
    def room(self) -> bool:
        """Whether another job may be started."""
        return len(self.running) < self._at_once

    def start(self, job: Job, more: Mapping[str, str] | None = None) -> None:
        """Starts a job on the device with the fewest."""
        if self._devices:
            used = list(self._on.values())
            self._on[job.name] = min(self._devices, key=used.count)
            more = {**(more or {}), "CUDA_VISIBLE_DEVICES": self._on[job.name]}
        super().start(job, more)

    def ended(self) -> list[Ended]:
        """Those that left; their devices are free."""
        found = super().ended()
        for one in found:
            self._on.pop(one.job.name, None)
        return found


@dataclass
class OnRay(Listening):
    """Tasks of a Ray cluster; the sweep's folder must lie on a disk that all of its machines see."""

    out: Path
    at_once: int | None  # none leaves it to Ray
    gpus: float  # of one trial
    running: dict[Any, tuple[Job, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ray = imported_ray()
        self._ray.init(ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
        self._threads = max(1, cores() // (self.at_once or len(devices()) or 1))
        self._task = self._ray.remote(num_cpus=self._threads, num_gpus=self.gpus, max_retries=0)(command)

    @property
    def room(self) -> bool:
        """Whether another job may be handed over."""
        return self.at_once is None or len(self.running) < self.at_once

    @property
    def busy(self) -> bool:
        """Whether any job runs or waits in Ray."""
        return bool(self.running)

    def start(self, job: Job) -> None:
        """Hands a job over."""
        job.write_files(self.out)
        ref = self._task.remote(job.argv, str(self.out.resolve()), f"{LOGS}/{job.name}.log", self._threads)
        self.running[ref] = (job, time.monotonic())

    def ended(self) -> list[Ended]:
        """Tasks that came back; one that Ray lost counts as failed."""
        found, refs = [], list(self.running)
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0) if refs else ([], [])
        for ref in ready:
            job, began = self.running.pop(ref)
            try:
                code = int(self._ray.get(ref))
            except Exception as error:  # whatever a cluster may raise
                code = 1
                note(self.out / LOGS / f"{job.name}.log", f"error: Ray lost the task: {' '.join(str(error).split())[:200]}")
            found.append(Ended(job, code, time.monotonic() - began))
        return found

    def stop(self) -> None:
        """Cancels all tasks, which end their processes."""
        for ref in self.running:
            self._ray.cancel(ref)
        self._ray.wait(list(self.running), num_returns=len(self.running), timeout=120) if self.running else None
        self.running.clear()


def imported_ray() -> Any:
    """The ray module; MissingToolError where it is not installed."""
    try:
        import ray
    except ImportError:
        raise MissingToolError("--engine ray needs Ray, which is not installed: pip install 'shotcraft[ray]'") from None
    return ray


def command(argv: tuple[str, ...], out: str, log: str, threads: int) -> int:
    """The task: runs a module in the sweep's folder to its end, and gives its exit code. Ended itself, it ends the module."""
    place = Path(out) / log
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *argv], cwd=out, env=environment(threads), stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def note(log: Path, line: str) -> None:
    """A line at the end of a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def devices() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return tuple(name.strip() for name in told.split(",") if name.strip() and name.strip() != "-1")
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return tuple(str(number) for number, line in enumerate(filter(lambda line: line.startswith("GPU "), listed.splitlines())))


def engine_of(name: str, out: Path, jobs: int | None) -> Engine:
    """The engine of a name: by default one trial for each GPU, or one at a time; ConfigError for an unknown one."""
    if name == "ray":
        return OnRay(out, jobs, 1.0 if devices() else 0.0)
    if name != "local":
        raise ConfigError(f"--engine is one of {', '.join(ENGINES)}, not {name!r}")
    found = devices()
    return Local(out, jobs or max(1, len(found)), found)
