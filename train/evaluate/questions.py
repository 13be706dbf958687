"""What demonstrations and pictures are asked, and how labels stand as answers."""

import io
import math
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from curate.labelled import Labelled, LabelledSet
from curate.schema import Image
from curate.storage import sha256
from train.evaluate.records import Picture, Turn

LETTERS = string.ascii_uppercase
OPTIONS = "{options}"
PLAIN = "What is shown in this picture?"
"""Asked where neither the user nor the demonstrations have a question."""
BY_LETTER = f"{PLAIN}\n{OPTIONS}\nAnswer with the letter of the option."


class Questions:
    """The words of one set of demonstrations."""

    def __init__(self, demos: LabelledSet, asked: str | None, letters: bool) -> None:
        """`asked` is the user's question, None for the demonstrations' own; `letters`: answers are letters of options."""
        self._demos, self._letters = demos, letters
        self._base = _usual(demos.rows, BY_LETTER if letters else PLAIN) if asked is None else asked
        if letters and OPTIONS not in self._base:
            self._base = f"{self._base}\n{OPTIONS}\n{BY_LETTER.rpartition(chr(10))[2]}".lstrip("\n")

    def demonstration(self, row: int, labels: Sequence[str]) -> Turn:
        """Row `row` of the demonstrations with its pictures, where `labels` are the options."""
        one = self._demos.rows[row]
        return self.turn(one, labels, tuple(shown(image, self._demos.data(image.ref)) for image in one.pictures))

    def turn(self, row: Labelled, labels: Sequence[str], pictures: tuple[Picture, ...]) -> Turn:
        """A demonstration, where `labels` are the options."""
        own = self._base if self._letters or not row.question else row.question
        return Turn(pictures, self._told(own, labels), self._answer(row.label, labels))

    def query(self, picture: Picture, labels: Sequence[str]) -> Turn:
        """A picture's question."""
        return Turn((picture,), self._told(self._base, labels))

    def choices(self, labels: Sequence[str]) -> tuple[str, ...]:
        """What the model may say, one for each label."""
        return tuple(self._answer(label, labels) for label in labels)

    def _answer(self, label: str, labels: Sequence[str]) -> str:
        return LETTERS[labels.index(label)] if self._letters else label

    def _told(self, question: str, labels: Sequence[str]) -> str:
        if OPTIONS not in question:
            return question
        lines = "\n".join(f"{letter}. {label}" for letter, label in zip(LETTERS, labels, strict=False))
        return question.replace(OPTIONS, lines if self._letters else ", ".join(labels))


def shown(image: Image, data: bytes) -> Picture:
    """A picture as a model is shown it."""
    return Picture(image.ref, data, image.width, image.height)


def _usual(rows: Iterable[Labelled], otherwise: str) -> str:
    """The question that most demonstrations have; "" where captions answer none."""
    own = Counter(row.question for row in rows if row.question is not None)
    return own.most_common(1)[0][0] if own else otherwise


BLANK_SIDE = 224


@cache
def blank_picture() -> Picture:
    """White paper, which shows nothing."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (BLANK_SIDE, BLANK_SIDE), "white").save(out, "PNG")
    return Picture(f"{sha256(out.getvalue())}.png", out.getvalue(), BLANK_SIDE, BLANK_SIDE)


def shares(scores: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities (natural) of candidates as shares of their sum, to six digits, the largest first."""
    highest = max(scores.values())
    weights = {label: math.exp(score - highest) for label, score in scores.items()}
    total = sum(weights.values())
    ordered = sorted(weights, key=lambda label: (-weights[label], label))
    return {label: round(weights[label] / total, 6) for label in ordered}


def beginnings(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of labels of which the first begins the second, and so can never be less likely."""
    ordered = sorted(labels)
    pairs = []
    for place, label in enumerate(ordered):
        longer = (other for other in ordered[place + 1 : place + 2] if other.startswith(label))
        pairs += [(label, other) for other in longer]
    return pairs
