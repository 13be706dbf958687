"""Labels or captions for one's own pictures from a handful of demonstrations.

from train.evaluate import Predictor

predictor = Predictor.load("models/icl", "labelled", shots=2)
for said in predictor.predict("photos"):
    print(said)
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from curate.labelled import LabelledSet, Pictures, Rejected
from train.evaluate.predictions import Prediction
from train.evaluate.records import Reader
from train.evaluate.selecting import Embedder, SelectSettings


class PredictSettings(SelectSettings):
    """How pictures are labelled."""

    labels: Literal["closed", "open"] = "closed"
    """closed: the likeliest of the demonstrations' labels, with scores. open: what the model writes."""

    letters: bool = False
    """With closed labels: questions list them under letters, and the letter is the answer."""

    question: str | None = None
    """Asked of every picture; {options} stands for the labels. By default the demonstrations' own."""

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


class Predictor:
    """A reader with demonstrations."""

    def __init__(
        self, reader: Reader, demos: LabelledSet, settings: PredictSettings | None = None, embedder: Embedder | None = None
    ) -> None:
        """ConfigError when settings and demonstrations do not go together. `embedder` is for `select: retrieved`."""
        self.reader, self.demos, self.settings, self.embedder = reader, demos, settings or PredictSettings(), embedder

    @classmethod
    def load(
        cls, model: str, demos: "str | os.PathLike[str]", embedder: Embedder | None = None, **settings: Any
    ) -> "Predictor":
        """A model's folder or name and labelled pictures (see curate.labelled); `settings` are PredictSettings' fields."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """What tells this predictor from another: reader, settings, demonstrations. JSON."""
        raise NotImplementedError

    def predict(self, pictures: "str | os.PathLike[str] | Pictures") -> Iterator[Prediction | Rejected]:
        """A prediction for every picture, in the order of their names."""
        raise NotImplementedError

    def write(
        self,
        pictures: "str | os.PathLike[str] | Pictures",
        out: "str | os.PathLike[str]",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Summary:
        """Predictions into a .jsonl or .csv file. Called again, it goes on: no picture is doubled.

        `progress` hears of pictures done and pictures in all. Pictures that were rejected are tried again.
        """
        raise NotImplementedError
