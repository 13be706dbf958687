"""Rows of predictions as JSON lines or CSV: written, and read back as far as they are whole."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple, Protocol

from curate.storage import json_lines

FIXED = ("image", "sha256", "label", "score", "demonstrations")
"""Columns of a CSV; behind them one a label, `p(LABEL)`."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was said of a picture."""

    image: str  # path below the folder
    sha256: str  # of the file's bytes
    label: str  # the likeliest label, or what the model wrote
    score: float | None = None  # the label's share of the probability of all candidates; None where it was written
    scores: dict[str, float] = field(default_factory=dict)  # the same of every candidate, likeliest first
    demonstrations: tuple[str, ...] = ()  # names of those that it was shown with, in order


class Written(NamedTuple):
    """A row that is in a file."""

    image: str
    sha256: str
    label: str
    line: bytes  # as it stands there


class Format(Protocol):
    """A kind of file."""

    head: bytes  # what stands above the rows

    def line(self, row: Prediction) -> bytes:
        """A row, its end of line with it."""

    def read(self, data: bytes) -> list[Written]:
        """The rows of a file up to the first that is not whole."""


class JsonLines:
    """One object a line, the fields of Prediction."""

    head = b""

    def line(self, row: Prediction) -> bytes:
        """See Format."""
        return (json.dumps(asdict(row), ensure_ascii=False, allow_nan=False) + "\n").encode()

    def read(self, data: bytes) -> list[Written]:
        """See Format."""
        rows = json_lines(data[: data.rfind(b"\n") + 1])
        whole = (row for row in rows if all(isinstance(row.get(name), str) for name in FIXED[:3]))
        return [Written(row["image"], row["sha256"], row["label"], _dumped(row)) for row in whole]


def _dumped(row: dict[str, object]) -> bytes:
    return (json.dumps(row, ensure_ascii=False) + "\n").encode()


class Csv:
    """A spreadsheet: image, sha256, label, score, demonstrations, a column for each label."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = list(labels)
        self.head = _cells([*FIXED, *(f"p({label})" for label in labels)])

    def line(self, row: Prediction) -> bytes:
        """See Format."""
        score = "" if row.score is None else str(row.score)
        shares = [str(row.scores[label]) if label in row.scores else "" for label in self._labels]
        return _cells([row.image, row.sha256, row.label, score, "; ".join(row.demonstrations), *shares])

    def read(self, data: bytes) -> list[Written]:
        """See Format."""
        if not data.startswith(self.head):
            return []
        found: list[Written] = []
        text = data[len(self.head) :].decode(errors="replace")
        reader = csv.reader(io.StringIO(text[: text.rfind("\r\n") + 2], newline=""), strict=True)
        try:
            for cells in reader:
                if len(cells) != len(FIXED) + len(self._labels):
                    break
                found.append(Written(cells[0], cells[1], cells[2], _cells(cells)))
        except csv.Error:  # cut off inside quotes
            pass
        return found


def _cells(cells: Sequence[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().encode()
