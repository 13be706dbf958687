"""An evaluation folder: what one model answered to some benchmarks, as `curate evaluate` writes it and reports read it.

OUT/evaluation.json                          the model's facts, the settings, the benchmarks with their digests
OUT/answers/BENCH/CONDITION-SHOTS.jsonl      one line an item, appended as the model answers
OUT/results.json                             one row a benchmark, condition, number of shots and metric; written last
OUT/costs.json                               with --costs: what questions cost, measured on some machine

A condition says what the model saw: "full" (the demonstrations as they are), "none" (true zero-shot, at 0 shots), "text"
(demonstrations without their pictures), "shuffled" (their answers exchanged), "swapped" (their pictures replaced).
"""

import inspect
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from curate.benches import NAME, Bench
from curate.errors import InputError, IntegrityError
from curate.storage import Folder, json_lines

EVALUATION, RESULTS, COSTS, ANSWERS = "evaluation.json", "results.json", "costs.json", "answers"
FORMAT = 1
Listed = TypeVar("Listed")

CONDITIONS = ("full", "none", "text", "shuffled", "swapped")
"""In the order in which they are shown: the score, then its controls."""


@dataclass(frozen=True)
class EvaluatedBench:
    """A benchmark as evaluation.json knows it."""

    name: str
    digest: str
    version: str
    title: str
    kind: str
    metric: str  # as in curate.benches.Metric
    domain: str
    place: str  # its folder: a URL, or a path relative to the evaluation's folder


@dataclass(frozen=True)
class EvaluationManifest:
    """evaluation.json."""

    format: int
    name: str  # what the model is called in tables
    model: dict[str, Any]  # the reader's facts
    settings: dict[str, Any]
    benches: tuple[EvaluatedBench, ...]


@dataclass(frozen=True)
class Row:
    """A row of results.json."""

    bench: str
    digest: str  # of the benchmark: rows are comparable where it is equal
    domain: str
    metric: str  # choice, exact, soft, vqa, cider, rouge-l
    shots: int
    condition: str
    items: int
    groups: int
    score: float  # mean over items: 0 to 1, CIDEr 0 to 10; what did not fit the model counts as wrong
    low: float  # 95 % bootstrap interval over groups
    high: float
    invariant: float | None  # share of groups of which all arrangements are right; None for captions
    chance: float | None  # None where the answer is open
    baselines: dict[str, float] = field(
        default_factory=dict
    )  # answerers without a model, {} where demonstrations were changed
    skipped: int = 0  # items that did not fit
    copies: dict[str, float] = field(default_factory=dict)  # share of answers that are those of the first, last, nearest shot


@dataclass(frozen=True)
class Cost:
    """A row of costs.json: one benchmark, condition and number of shots, cold or warm (see train/evaluate/costs.py)."""

    bench: str
    condition: str
    shots: int
    state: str
    questions: int
    prompt_tokens: float
    """Positions that the language model reads before the first token, mean: words, pictures' tokens, virtual tokens."""
    first_token: float
    """Seconds to the first token of one question asked alone, median."""
    peak_mib: float | None
    """Memory that such a question takes at most beyond what was held before, median; None where nobody can say."""
    per_second: float
    """Questions answered a second, asked together as the evaluation asks them."""

    def __post_init__(self) -> None:
        """ValueError unless names are names and figures are figures."""
        names, counts = (self.bench, self.condition, self.state), (self.shots, self.questions)
        figures = (self.prompt_tokens, self.first_token, self.per_second, self.peak_mib or 0.0)
        told = all(isinstance(name, str) for name in names) and all(type(count) is int for count in counts)
        if not told or not all(isinstance(one, int | float) and abs(one) < 1e12 for one in figures):
            raise ValueError("not what a question costs")


@dataclass(frozen=True, slots=True)
class Answer:
    """A line of answers/: what the model made of an item."""

    item: str
    group: str
    choice: str | None  # what was answered, as it was compared; None where nothing was
    right: float  # 0 to 1; ties share
    scores: tuple[float, ...] | None = None  # log-probability of each choice, () where the item did not fit
    said: str | None = None  # raw output, where the model wrote

    def line(self) -> str:
        """The line, with its end; absent keys are left out."""
        row: dict[str, Any] = {"item": self.item, "group": self.group}
        if self.scores is not None:
            row["scores"] = list(self.scores)
        else:
            row["said"] = self.said
        row |= {"choice": self.choice, "right": self.right}
        return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Answer":
        """The inverse; KeyError or TypeError for another shape."""
        scores = row.get("scores")
        known = tuple(map(float, scores)) if scores is not None else None
        return cls(row["item"], row["group"], row["choice"], float(row["right"]), known, row.get("said"))


class Evaluation:
    """An opened evaluation folder."""

    def __init__(self, folder: Folder, manifest: EvaluationManifest) -> None:
        self.folder, self.manifest = folder, manifest

    @classmethod
    def open(cls, place: "str | os.PathLike[str] | Folder") -> "Evaluation":
        """The evaluation in a folder; InputError when there is none, IntegrityError when its manifest is damaged."""
        folder = Folder.of(place)
        if not is_evaluation(folder):
            raise InputError(
                f"{folder.uri} holds no evaluation ({EVALUATION} is missing); make one: curate evaluate MODEL BENCH"
            )
        try:
            plain = json.loads(folder.read(EVALUATION))
            plain["benches"] = tuple(EvaluatedBench(**bench) for bench in plain["benches"])
            manifest = EvaluationManifest(**plain)
            sound = all(NAME.fullmatch(bench.name) for bench in manifest.benches)
        except (ValueError, TypeError, KeyError, RecursionError):
            sound = False
        if not sound:
            raise IntegrityError(
                f"{folder.uri}/{EVALUATION} is not an evaluation's manifest; evaluate again into another folder"
            )
        if manifest.format != FORMAT:
            raise InputError(f"{folder.uri} holds an evaluation of format {manifest.format}, this version reads {FORMAT}")
        return cls(folder, manifest)

    @property
    def name(self) -> str:
        """What the model is called in tables."""
        return self.manifest.name

    @cached_property
    def rows(self) -> list[Row]:
        """The results; [] where the evaluation was not finished, IntegrityError where the file is damaged."""
        return self._listed(RESULTS, Row, "curate evaluate")

    @cached_property
    def costs(self) -> list[Cost]:
        """What questions cost; [] where it was not measured, IntegrityError where the file is damaged."""
        return self._listed(COSTS, Cost, "curate evaluate --costs")

    def _listed(self, name: str, kind: Callable[..., Listed], maker: str) -> list[Listed]:
        if not self.folder.exists(name):
            return []
        known = set(inspect.signature(kind).parameters)
        try:
            found = json.loads(self.folder.read(name))["rows"]
            return [kind(**{key: value for key, value in row.items() if key in known}) for row in found]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise IntegrityError(f"{self.folder.uri}/{name} is damaged; run {maker} again") from None

    def row(self, bench: str, condition: str, shots: int, metric: str | None = None) -> Row | None:
        """One result; the first metric where none is named."""
        wanted = (bench, condition, shots)
        rows = (row for row in self.rows if (row.bench, row.condition, row.shots) == wanted)
        return next((row for row in rows if metric in (None, row.metric)), None)

    def cells(self) -> Iterator[tuple[str, str, int]]:
        """(bench, condition, shots) of which there are answers, sorted."""
        for name in self.folder.names():
            found = re.fullmatch(rf"{ANSWERS}/([\w.-]+)/([a-z]+)-(\d+)\.jsonl", name)
            if found:
                yield found[1], found[2], int(found[3])

    def answers(self, bench: str, condition: str, shots: int) -> list[Answer]:
        """The answers of a cell in the order in which they were asked; [] where there are none."""
        return read_answers(self.folder, answers_name(bench, condition, shots))

    def bench(self, name: str) -> Bench | None:
        """The benchmark itself, where its folder still lies as it was evaluated; None otherwise."""
        known = next((bench for bench in self.manifest.benches if bench.name == name), None)
        if known is None:
            return None
        try:
            bench = Bench.open(resolved(self.folder, known.place))
        except (InputError, IntegrityError):
            return None
        return bench if bench.digest == known.digest else None


def is_evaluation(place: "str | os.PathLike[str] | Folder") -> bool:
    """Whether a folder holds an evaluation."""
    return Folder.of(place).exists(EVALUATION)


def answers_name(bench: str, condition: str, shots: int) -> str:
    """Where the answers of a cell lie in an evaluation's folder."""
    return f"{ANSWERS}/{bench}/{condition}-{shots}.jsonl"


def read_answers(folder: Folder, name: str) -> list[Answer]:
    """The answers in a file up to the first line that is none, or has no end; [] where there is no file."""
    data = folder.read(name) if folder.exists(name) else b""
    found: list[Answer] = []
    for row in json_lines(data[: data.rfind(b"\n") + 1]):
        try:
            found.append(Answer.of(row))
        except (KeyError, TypeError, ValueError):
            break
    return found


def write_manifest(folder: Folder, manifest: EvaluationManifest) -> None:
    """evaluation.json; equal manifests, equal bytes."""
    folder.write(EVALUATION, _text(asdict(manifest)))


def write_costs(folder: Folder, costs: list[Cost]) -> None:
    """costs.json."""
    folder.write(COSTS, _text({"format": FORMAT, "rows": [asdict(cost) for cost in costs]}))


def write_rows(folder: Folder, rows: list[Row]) -> None:
    """results.json."""
    folder.write(RESULTS, _text({"format": FORMAT, "rows": [asdict(row) for row in rows]}))


def named_from(folder: Folder, bench: Folder) -> str:
    """A benchmark's place as the evaluation in `folder` names it: by a relative path where both are local."""
    if folder.is_local and bench.is_local:
        return os.path.relpath(bench.local(), folder.local())
    return bench.uri


def resolved(folder: Folder, place: str) -> Folder:
    """The folder that the evaluation in `folder` calls `place`."""
    if "://" in place or os.path.isabs(place) or not folder.is_local:
        return Folder.of(place)
    return Folder.of(os.path.normpath(folder.local(place)))


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
