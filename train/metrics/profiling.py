"""A few steps under torch.profiler, on request."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch.profiler import profile

FOLDER = "profile"


@contextmanager
def profiled(steps: tuple[int, int] | None, out: Path, rank: int = 0) -> Iterator[Callable[[int], None]]:
    """Gives a function to be told, before every step, how many are done.

    The steps of log.profile, first to last, are recorded into OUT/profile/rank-R.json, a trace for chrome://tracing
    or Perfetto; also when the run ends or fails among them.
    """
    recorder = Recorder(*(steps or (0, 0)), out / FOLDER / f"rank-{rank}.json")
    try:
        yield recorder.before
    finally:
        recorder.stop()


class Recorder:
    """Records the steps `first` to `last`, counted from 1."""

    def __init__(self, first: int, last: int, place: Path) -> None:
        self._first, self._last, self._place = first, last, place
        self._running: profile | None = None

    def before(self, done: int) -> None:
        """A step begins, `done` of them being done."""
        if self._running is not None and done >= self._last:
            self.stop()
        elif self._running is None and self._first <= done + 1 <= self._last:
            self._start()

    def _start(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
        self._running = profile(activities=kinds, record_shapes=True)
        self._running.start()

    def stop(self) -> None:
        """Writes what was recorded."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()
            self._place.parent.mkdir(parents=True, exist_ok=True)
            running.export_chrome_trace(str(self._place))
