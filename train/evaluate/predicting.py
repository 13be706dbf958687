"""Labels or captions for one's own pictures from a handful of demonstrations.

from train.evaluate import Predictor

predictor = Predictor.load("models/icl", "labelled", shots=2)
for said in predictor.predict("photos"):
    print(said)
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from curate.errors import ConfigError, InputError
from curate.images import BadImage
from curate.labelled import LabelledSet, LabelOf, Pictures, Rejected, read_labelled
from curate.schema import Image
from curate.settings import build
from curate.storage import hash_json
from train.evaluate.prediction_rows import Prediction
from train.evaluate.predictions import PredictionFile
from train.evaluate.questions import LETTERS, Questions, blank_picture, shares, shown
from train.evaluate.records import Ask, Picture, Reader
from train.evaluate.selecting import Embedder, Fixed, Query, Retrieved, Selection, SelectSettings

Found = Prediction | Rejected


class PredictSettings(SelectSettings):
    """How pictures are labelled."""

    labels: Literal["closed", "open"] = "closed"
    """closed: the likeliest of the demonstrations' labels, with scores. open: what the model writes."""

    letters: bool = False
    """With closed labels: questions list them under letters, and the letter is the answer."""

    calibrate: bool = False
    """With closed labels: what a blank picture in the picture's place makes likely is divided out (contextual calibration,
    arXiv 2102.09690). Against models that favour a label whatever they see; one more ask for each list of demonstrations."""

    question: str | None = None
    """Asked of every picture, and of demonstrations that have no question of their own; {options} stands for the labels.
    By default the question that most demonstrations have."""

    label_of: LabelOf = "answer"
    """What is the label of a run's demonstration: its answer, or its most specific concept."""

    max_new_tokens: int = Field(default=32, ge=1)
    """Longest answer under open labels."""

    chunk: int = Field(default=32, ge=1)
    """Pictures that are asked about, and written down, together."""


@dataclass(frozen=True)
class Summary:
    """What a call of `write` did."""

    pictures: int  # in the folder
    predicted: int  # rows in the file
    new: int  # of them by this call
    rejected: dict[str, int]  # reason -> pictures
    labels: dict[str, int]  # label -> rows, the most frequent first

    @property
    def rejected_share(self) -> float:
        """Rejected pictures among all, 0..1."""
        return sum(self.rejected.values()) / max(1, self.pictures)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A picture that was read."""

    name: str
    digest: str  # of the file; a drawing's picture has other bytes
    image: Image
    data: bytes

    @property
    def picture(self) -> Picture:
        return shown(self.image, self.data)


class Predictor:
    """A reader with demonstrations."""

    def __init__(
        self, reader: Reader, demos: LabelledSet, settings: PredictSettings | None = None, embedder: Embedder | None = None
    ) -> None:
        """ConfigError when settings and demonstrations do not go together. `embedder` is for `select: retrieved`."""
        self.reader, self.demos, self.settings, self.embedder = reader, demos, settings or PredictSettings(), embedder
        self._closed = self.settings.labels == "closed"
        self._questions = Questions(demos, self.settings.question, self._closed and self.settings.letters)
        self._selection = self._selecting()
        self._blank: dict[tuple[int, ...], list[float]] = {}
        _check(self.settings, demos)

    @classmethod
    def load(
        cls,
        model: "str | os.PathLike[str]",
        demos: "str | os.PathLike[str]",
        embedder: Embedder | None = None,
        reader: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> "Predictor":
        """A model's folder or name and labelled pictures (see curate.labelled). `settings` are fields of PredictSettings,
        `reader` those of ReaderSettings."""
        from train.evaluate.reader import ReaderSettings, VlmReader

        checked = build(PredictSettings, settings)
        asked = build(ReaderSettings, reading(checked, reader or {}), "reader")
        labelled = read_labelled(demos, checked.label_of)
        _check(checked, labelled)
        return cls(VlmReader.load(model, asked), labelled, checked, embedder)

    def _selecting(self) -> Selection:
        balanced = self.settings.balanced and self._closed
        if self.settings.select == "fixed":
            return Fixed(self.demos, self.settings, balanced)
        if self.embedder is None:
            raise ConfigError("select: retrieved needs an encoder; give embedder=load_encoder('offline', 'tower')")
        return Retrieved(self.demos, self.settings, balanced, self.embedder)

    def facts(self) -> dict[str, Any]:
        """What tells this predictor from another: reader, settings, demonstrations, encoder. JSON."""
        rows = [[[image.ref for image in row.pictures], row.label, row.question] for row in self.demos.rows]
        return {
            "model": {"name": self.reader.name, **self.reader.facts()},
            "settings": self.settings.model_dump(mode="json", exclude={"chunk"}),
            "demonstrations": hash_json(rows),
            "labels": list(self.demos.labels) if self._closed else [],
            "encoder": self.embedder.fingerprint if self.embedder else "",
        }

    def predict(self, pictures: "str | os.PathLike[str] | Pictures") -> Iterator[Found]:
        """A prediction, or the reason why there is none, for every picture in the order of their names."""
        source = _pictures(pictures)
        for names in _chunks(source.names, self.settings.chunk):
            yield from self._answered(names, source)

    def write(
        self,
        pictures: "str | os.PathLike[str] | Pictures",
        out: "str | os.PathLike[str]",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Summary:
        """Predictions into a .jsonl or .csv file. Called again, it goes on: no picture is doubled.

        `progress` hears of pictures done and pictures in all. Pictures that were rejected are tried again, those whose
        bytes changed are predicted anew.
        """
        source, new = _pictures(pictures), 0
        rejected: Counter[str] = Counter()
        facts = self.facts()
        with PredictionFile(Path(out), facts, facts["labels"]) as file:
            done = file.digests
            todo = [name for name in source.names if name not in done or done[name] != source.digest(name)]
            file.forget(todo)
            for names in _chunks(todo, self.settings.chunk):
                progress(len(source.names) - len(todo) + new + rejected.total(), len(source.names))
                rows, bad = _parted(self._answered(names, source))
                file.reject(bad)
                file.append(rows)
                new += len(rows)
                rejected.update(one.reason for one in bad)
            labels = Counter(row.label for row in file.rows)
            progress(len(source.names), len(source.names))
            return Summary(len(source.names), len(file.rows), new, dict(rejected), dict(labels.most_common()))

    def _answered(self, names: Sequence[str], source: Pictures) -> list[Found]:
        """One of each name, in order."""
        waiting, found = _read(names, source)
        chosen = self._selection.of([Query(one.image.ref, one.data) for one in waiting])
        said = self._said([self._ask(one, rows) for one, rows in zip(waiting, chosen, strict=True)], chosen)
        if waiting and not any(said):
            shots = max(map(len, chosen))
            raise InputError(
                f"no question fits the model with {shots} demonstrations; lower --shots, or give --select retrieved --ways 4"
            )
        found.update({one.name: self._found(one, *rest) for one, *rest in zip(waiting, chosen, said, strict=True)})
        return [found[name] for name in names]

    def _candidates(self, rows: Sequence[int]) -> tuple[str, ...]:
        """The labels that a picture may get: all, or under `ways` those that it is shown."""
        if self.settings.ways and rows:
            return tuple(sorted({self.demos.rows[row].label for row in rows}))
        return self.demos.labels

    def _ask(self, one: _Waiting, rows: Sequence[int]) -> Ask:
        labels = self._candidates(rows)
        turns = [self._questions.demonstration(row, labels) for row in rows]
        choices = self._questions.choices(labels) if self._closed else ()
        return Ask(one.name, tuple(turns), self._questions.query(one.picture, labels), choices)

    def _said(self, asks: Sequence[Ask], chosen: Sequence[Sequence[int]]) -> Sequence[Any]:
        """Log-probabilities of the choices, or a text; nothing for an ask that does not fit."""
        if self._closed:
            scores = self.reader.likelihoods(asks)
            return self._without_bias(asks, chosen, scores) if self.settings.calibrate else scores
        return [None if text is None else (text,) for text in self.reader.generate(asks, self.settings.max_new_tokens)]

    def _without_bias(
        self, asks: Sequence[Ask], chosen: Sequence[Sequence[int]], scores: Sequence[Sequence[float]]
    ) -> list[list[float]]:
        """Log-probabilities less those of the same choices for a blank picture behind the same demonstrations."""
        keys = [tuple(rows) for rows in chosen]
        self._blank = {key: known for key, known in self._blank.items() if key in set(keys)}
        new = {key: ask for key, ask in zip(keys, asks, strict=True) if key not in self._blank}
        blanks = [replace(ask, query=replace(ask.query, pictures=(blank_picture(),))) for ask in new.values()]
        self._blank.update(zip(new, self.reader.likelihoods(blanks) if blanks else [], strict=True))
        pairs = [(score, self._blank[key]) for score, key in zip(scores, keys, strict=True)]
        return [
            [one - bias for one, bias in zip(score, blank, strict=True)] if score and blank else [] for score, blank in pairs
        ]

    def _found(self, one: _Waiting, rows: Sequence[int], answer: Any) -> Found:
        if not answer:
            return Rejected(one.name, "too_long", f"with {len(rows)} demonstrations")
        names = tuple(self.demos.rows[row].name for row in rows)
        if not self._closed:
            return Prediction(one.name, one.digest, str(answer[0]).strip(), demonstrations=names)
        scores = shares(dict(zip(self._candidates(rows), answer, strict=True)))
        label = next(iter(scores))
        return Prediction(one.name, one.digest, label, scores[label], scores, names)


def reading(settings: PredictSettings, reader: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the reader for predictions: of fixed demonstrations, keys and values are kept unless told otherwise."""
    return {"prefixes": 1, **reader} if settings.select == "fixed" else dict(reader)


def _check(settings: PredictSettings, demos: LabelledSet) -> None:
    closed, labels = settings.labels == "closed", len(demos.labels)
    if settings.ways and not (closed and settings.balanced and settings.select == "retrieved" and settings.shots):
        raise ConfigError("ways: goes with select: retrieved, balanced and closed labels, and at least one shot")
    if closed and labels < 2:
        raise ConfigError(f"all demonstrations have the label {demos.labels[0]!r}; give another, or --labels open")
    if closed and settings.letters and (shown := min(labels, settings.ways or labels)) > len(LETTERS):
        raise ConfigError(f"{shown} labels have no letters; leave --letters out, or give --select retrieved --ways 5")


def _pictures(place: "str | os.PathLike[str] | Pictures") -> Pictures:
    pictures = place if isinstance(place, Pictures) else Pictures(place)
    if not pictures.names:
        raise InputError(f"{place} holds no pictures; they are told by their names' endings (.jpg, .png, .webp, .svg, ...)")
    return pictures


def _read(names: Sequence[str], source: Pictures) -> tuple[list[_Waiting], dict[str, Found]]:
    """The pictures that can be used, and what is wrong with the others."""
    waiting: list[_Waiting] = []
    rejected: dict[str, Found] = {}
    for name in names:
        try:
            waiting.append(_Waiting(name, source.digest(name), *source.read(name)))
        except BadImage as fault:
            rejected[name] = source.rejected(name, fault)
    return waiting, rejected


def _parted(found: Iterable[Found]) -> tuple[list[Prediction], list[Rejected]]:
    both = list(found)
    return [one for one in both if isinstance(one, Prediction)], [one for one in both if isinstance(one, Rejected)]


def _chunks(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))
