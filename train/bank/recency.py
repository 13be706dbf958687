"""When parts were last used: their files' modification times, which survive any crash and cost no file of their own.

A part's time is set when an entry of it is read, by one process at most once in `every` seconds; what is not yet written
is written before that process evicts. So the order of eviction is off by at most `every` seconds of another process.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from curate.storage import TEMPORARY

EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A part's file."""

    used: int  # nanoseconds
    name: str
    size: int


class Uses:
    """What this process used."""

    def __init__(self, parts: Path, every: float = EVERY) -> None:
        self._parts, self._every = parts, int(every * 1e9)
        self._written: dict[str, int] = {}
        self._waiting: dict[str, int] = {}

    def note(self, name: str) -> None:
        """A part is used now."""
        now = time.time_ns()
        if abs(now - self._written.get(name, 0)) < self._every:
            self._waiting[name] = now
        else:
            self._write(name, now)

    def flush(self) -> None:
        """Writes what waits."""
        for name, when in self._waiting.items():
            self._write(name, when)
        self._waiting.clear()

    def _write(self, name: str, when: int) -> None:
        touch(self._parts / name, when)
        self._written[name] = when


def touch(path: Path, when: int) -> None:
    """Moves a part's time forward, never back. One that is gone, or that we may only read, stays as it is."""
    with suppress(OSError):
        if path.stat().st_mtime_ns < when:
            os.utime(path, ns=(when, when))


def least_used(parts: Path) -> list[Kept]:
    """The files among the parts, those that were not used for longest first."""
    return sorted(_listed(parts), key=lambda kept: (kept.used, kept.name))


def too_much(kept: Sequence[Kept], room: int) -> list[Kept]:
    """The first ones, that must go for the others to take at most `room` bytes."""
    total, gone = sum(one.size for one in kept), 0
    while gone < len(kept) and total > room:
        total -= kept[gone].size
        gone += 1
    return list(kept[:gone])


def _listed(parts: Path) -> Iterator[Kept]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(parts) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                if S_ISREG(found.st_mode) and not entry.name.startswith(TEMPORARY):
                    yield Kept(found.st_mtime_ns, entry.name, found.st_size)
