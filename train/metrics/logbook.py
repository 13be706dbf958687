"""OUT/metrics.jsonl and OUT/tensorboard: what a run measured, one row a line, no step twice."""

from pathlib import Path
from typing import Any, Literal, TypedDict


class Row(TypedDict, total=False):
    """A line of metrics.jsonl."""

    step: int  # steps done, counted from 1
    kind: Literal["train", "validation"]
    loss: float | None
    losses: dict[str, dict[str, dict[str, Any]]]  # source | format | shots -> value -> {"loss": , "tokens": }
    tokens: int  # supervised tokens the losses are means over
    lr: dict[str, float]  # by part
    grad_norm: float | None
    bad_steps: int  # skipped so far
    tokens_per_s: dict[str, float]  # all, real, supervised
    images_per_s: float
    data_wait: float
    step_s: float
    memory_gb: dict[str, float]  # now, peak
    mfu: float
    eta_s: float


class Logbook:
    """Appends rows; on a rank that does not write, every method does nothing."""

    def __init__(self, out: Path, writes: bool = True, resumed: int = 0, tensorboard: bool = True) -> None:
        """Rows behind step `resumed` are cut away, 0 for a fresh run. `writes`: ranks.first."""
        raise NotImplementedError

    def write(self, row: Row) -> None:
        """Appends a row. Figures that are not finite become null."""

    def close(self) -> None:
        """Ends the files."""

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
