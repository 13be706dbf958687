"""VQA accuracy: how far an answer agrees with those of several annotators.

Definition: Antol et al. 2015 (arXiv 1505.00468), averaged over annotators as the evaluation at visualqa.org does: for each
annotator min(1, others who gave this answer / 3), and the mean of that. Before they are compared, answers are lower-cased,
numbers up to ten become digits, articles and punctuation go. Apostrophes go as well, so that "dont" is "don't"; the original
puts missing ones in by a table.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

AGREEING = 3
"""Annotators that make an answer right."""

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_WORDS)}
_ARTICLES = frozenset(("a", "an", "the"))


def vqa_accuracy(said: str, answers: Sequence[str]) -> float:
    """0 to 1. Where there are fewer than three other annotators, an answer is right when all of them gave it; a single
    annotator's answer is right when it is the same."""
    known, mine = [plain(answer) for answer in answers], plain(said)
    if len(known) < 2:
        return float(known == [mine])
    enough = min(AGREEING, len(known) - 1)
    agreeing = sum(answer == mine for answer in known)
    return sum(min(1.0, (agreeing - (answer == mine)) / enough) for answer in known) / len(known)


@lru_cache(maxsize=65_536)
def plain(answer: str) -> str:
    """An answer as it is compared."""
    text = re.sub(r"['’`]", "", answer.lower())
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)  # thousands
    text = re.sub(r"\.(?!\d)", " ", text)  # full stops, not decimal points
    words = re.sub(r"[^\w\s.$%:]", " ", text).replace("_", " ").split()
    return " ".join(_NUMBERS.get(word, word) for word in words if word not in _ARTICLES)
