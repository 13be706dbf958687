"""OUT/metrics.jsonl and OUT/tensorboard: what a run measured, one row a line, no step twice.

A row is a JSON object; see Row. Rows of training and of validation stand in one file, in the order of their steps. Lines
are appended and handed to the system at once, so that a killed process loses none but the one it was writing; that one is
cut away when the run goes on, as are rows behind the step it goes on from. Figures that are not finite stand as null.
"""

import json
import math
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict

from curate.storage import Folder, clear_errors, json_lines

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS, TENSORBOARD = "metrics.jsonl", "tensorboard"


class Row(TypedDict, total=False):
    """A line of metrics.jsonl. Rates are of all ranks together; keys that were not measured are absent."""

    step: int  # steps done
    kind: Literal["train", "validation"]
    loss: float | None  # mean over the supervised tokens since the last row, by their weights
    tokens: int  # these tokens
    losses: dict[str, dict[str, dict[str, Any]]]  # source | format | shots -> value -> {"loss": , "tokens": }
    lr: dict[str, float]  # by part
    grad_norm: float | None  # of the last step, before clipping
    bad_steps: int  # steps of the run that were skipped
    step_s: float
    tokens_per_s: dict[str, float]  # "all" positions, "real" ones (no padding), "supervised"
    images_per_s: float
    data_wait: float  # share of the time, 0 to 1
    memory_gb: dict[str, float]  # "now", "peak", of the fullest rank
    mfu: float  # share of the devices' peak, 0 to 1
    eta_s: float


class Logbook:
    """Appends rows; on a rank that does not write, every method does nothing."""

    def __init__(self, out: Path, writes: bool = True, resumed: int = 0, tensorboard: bool = True) -> None:
        """Rows behind step `resumed` are cut away, all of them for a fresh run. `writes`: ranks.first."""
        self._out = out
        self._file: IO[str] | None = None
        self._board: SummaryWriter | None = None
        if not writes:
            return
        rows = [row for row in read_rows(out / METRICS) if row["step"] <= resumed]
        Folder.of(out).write(METRICS, "".join(map(_line, rows)).encode())
        self._file = (out / METRICS).open("a", encoding="utf-8")
        if tensorboard:
            self._board = _board(out / TENSORBOARD, resumed + 1)

    def write(self, row: Row) -> None:
        """Appends a row."""
        if self._file is None:
            return
        with clear_errors(str(self._out / METRICS)):
            self._file.write(_line(row))
            self._file.flush()
        if self._board is not None:
            for name, value in flat({key: value for key, value in row.items() if key not in ("step", "kind")}).items():
                self._board.add_scalar(_tag(str(row["kind"]), name), value, int(row["step"]))

    def close(self) -> None:
        """Ends the files."""
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()
        self._file = self._board = None

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _board(place: Path, first: int) -> "SummaryWriter":
    """TensorBoard's writer; what it shows of step `first` and later ones is dropped."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(place), purge_step=first, flush_secs=20)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl up to the first line that is none; [] when there is no file."""
    rows = json_lines(path.read_bytes()) if path.exists() else []
    return list(takewhile(lambda row: isinstance(row.get("step"), int), rows))


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(_finite(row), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The value as JSON can have it: null for a figure that is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def flat(figures: Mapping[str, Any], under: str = "") -> dict[str, float]:
    """Numbers of nested figures by dotted names: {"memory_gb": {"now": 1.0}} -> {"memory_gb.now": 1.0}."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{under}{name}.")
        elif isinstance(value, int | float):
            found[f"{under}{name}"] = float(value)
    return found


def _tag(kind: str, name: str) -> str:
    """TensorBoard groups by what stands before the first slash: train/loss, train_losses/source/web."""
    first, _, rest = name.partition(".")
    if first != "losses":
        return f"{kind}/{name.replace('.', '/')}"
    axis, _, value = rest.partition(".")
    return f"{kind}_{axis}/{value.replace('.', '/')}"
