"""What every benchmark says and does alike: the machine it ran on, its clock, its real input."""

import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from curate.errors import InputError, MissingToolError
from curate.sources import fetch


def say_machine(*packages: str) -> None:
    """Prints processor, usable cores, load average and versions: a figure without them says little."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"{_processor()}, {cores} cores{load}; " + ", ".join([f"Python {platform.python_version()}", *map(_version, packages)])
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} is not installed"


def sample_or_none(name: str) -> Path | None:
    """The folder of a sample, fetched when it is not there; None, and one line why, where it cannot be had."""
    try:
        return fetch(name)
    except (InputError, MissingToolError) as error:
        print(f"{name} left out: {error}")
        return None


def sample_or_skip(name: str) -> Path:
    """The folder of a sample; where it cannot be had, the benchmark ends here, and not as a failure."""
    folder = sample_or_none(name)
    if folder is None:
        sys.exit(0)
    return folder


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """How long some work takes by a clock; `time.process_time` counts processor seconds of this process."""
    began = clock()
    work()
    return clock() - began
