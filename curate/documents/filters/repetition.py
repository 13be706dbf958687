"""Filters against text that repeats itself, as generated and spun pages do."""

from collections import Counter
from collections.abc import Sequence
from math import isqrt

from pydantic import Field

from curate.documents.filters.base import FILTERS, DocumentFilter, Drop, TextFilter, full_text
from curate.schema import Document
from curate.settings import Settings


def character_repetition(text: str, n: int) -> float:
    """Share of a text's character n-grams that the most frequent repeated ones make up.

    With V distinct n-grams, the floor(sqrt V) most frequent count, as far as they occur more than once.
    """
    total = len(text) - n + 1
    if total < 2:
        return 0.0
    grams = Counter([text[i : i + n] for i in range(total)])
    if len(grams) == total:
        return 0.0
    repeated = sorted((count for count in grams.values() if count > 1), reverse=True)
    return sum(repeated[: isqrt(len(grams))]) / total


def word_repetition(words: Sequence[str], n: int) -> float:
    """Share of a text's word n-grams that occur more than once."""
    grams = Counter(zip(*(words[i:] for i in range(n)), strict=False))
    total = grams.total()
    return sum(count for count in grams.values() if count > 1) / total if total else 0.0


class Repetition(Settings):
    """Length of the n-grams and the largest share of repeated ones."""

    n: int = Field(10, ge=1)
    max: float = Field(0.1, ge=0.0, le=1.0)


def _characters(text: str, at: Repetition) -> Drop | None:
    share = character_repetition(text.lower(), at.n)
    return None if share <= at.max else Drop(f"{share:.3f}")


def _words(text: str, at: Repetition) -> Drop | None:
    share = word_repetition(text.lower().split(), at.n)
    return None if share <= at.max else Drop(f"{share:.3f}")


@FILTERS.register("node_character_repetition")
class NodeCharacterRepetition(TextFilter):
    """Repeated runs of characters in a text node."""

    class Thresholds(Repetition):
        """Characters."""

    def judge(self, text: str, language: str) -> Drop | None:
        """Drops rulers and spam."""
        return _characters(text, self.at)


@FILTERS.register("node_word_repetition")
class NodeWordRepetition(TextFilter):
    """Repeated runs of words in a text node."""

    class Thresholds(Repetition):
        """Words."""

        n: int = Field(5, ge=1)

    def judge(self, text: str, language: str) -> Drop | None:
        """Drops refrains."""
        return _words(text, self.at)


@FILTERS.register("document_character_repetition")
class DocumentCharacterRepetition(DocumentFilter):
    """Repeated runs of characters in a document."""

    class Thresholds(Repetition):
        """Characters."""

    def judge(self, document: Document) -> Drop | None:
        """Drops pages that say one thing many times."""
        return _characters(full_text(document), self.at)


@FILTERS.register("document_word_repetition")
class DocumentWordRepetition(DocumentFilter):
    """Repeated runs of words in a document."""

    class Thresholds(Repetition):
        """Words."""

        n: int = Field(5, ge=1)
        max: float = Field(0.2, ge=0.0, le=1.0)

    def judge(self, document: Document) -> Drop | None:
        """Drops pages that say one thing many times."""
        return _words(full_text(document), self.at)
