"""Filters on how text is made up: the share of function words and of signs that are no letters."""

from functools import cache
from pathlib import Path

from pydantic import Field

from curate.documents.filters.base import FILTERS, DocumentFilter, Drop, TextFilter, full_text
from curate.schema import Document
from curate.settings import Settings, read_yaml

_STRIP = "".join(map(chr, range(33, 48))) + ":;<=>?@[\\]^_`{|}~«»“”„‘’…–—|"


@cache
def stop_words() -> dict[str, frozenset[str]]:
    """Language -> its function words, lower case."""
    data = read_yaml(Path(__file__).with_name("stopwords.yaml"))
    return {language: frozenset(words.split()) for language, words in data.items()}


def stop_word_ratio(text: str, language: str) -> float | None:
    """Share of a text's words that are function words; None for a language without a list or no words."""
    known = stop_words().get(language)
    words = [word for raw in text.lower().replace("’", "'").split() if (word := raw.strip(_STRIP))]
    if known is None or not words:
        return None
    return sum(word in known for word in words) / len(words)


def special_ratio(text: str) -> float:
    """Share of a text's characters that are no letters: digits, punctuation, symbols and white space."""
    return sum(not sign.isalpha() for sign in text) / len(text) if text else 0.0


class AtLeast(Settings):
    """A lower bound of a share."""

    min: float = Field(0.0, ge=0.0, le=1.0)


class AtMost(Settings):
    """An upper bound of a share."""

    max: float = Field(1.0, ge=0.0, le=1.0)


def _stop_words(text: str, language: str, least: float) -> Drop | None:
    ratio = stop_word_ratio(text, language)
    return None if ratio is None or ratio >= least else Drop(f"{ratio:.3f}")


def _special(text: str, most: float) -> Drop | None:
    ratio = special_ratio(text)
    return None if ratio <= most else Drop(f"{ratio:.3f}")


@FILTERS.register("node_stop_words")
class NodeStopWords(TextFilter):
    """Function words of a text node; languages without a list are kept."""

    class Thresholds(AtLeast):
        """A share of the words."""

        min: float = Field(0.30, ge=0.0, le=1.0)

    def judge(self, text: str, language: str) -> Drop | None:
        """Drops lists of names and keywords."""
        return _stop_words(text, language, self.at.min)


@FILTERS.register("node_special_characters")
class NodeSpecialCharacters(TextFilter):
    """Signs of a text node that are no letters."""

    class Thresholds(AtMost):
        """A share of the characters."""

        max: float = Field(0.30, ge=0.0, le=1.0)

    def judge(self, text: str, language: str) -> Drop | None:
        """Drops tables of numbers and code."""
        return _special(text, self.at.max)


@FILTERS.register("document_stop_words")
class DocumentStopWords(DocumentFilter):
    """Function words of a document; languages without a list are kept."""

    class Thresholds(AtLeast):
        """A share of the words."""

        min: float = Field(0.35, ge=0.0, le=1.0)

    def judge(self, document: Document) -> Drop | None:
        """Drops keyword pages."""
        return _stop_words(full_text(document), document.language, self.at.min)


@FILTERS.register("document_special_characters")
class DocumentSpecialCharacters(DocumentFilter):
    """Signs of a document that are no letters."""

    class Thresholds(AtMost):
        """A share of the characters."""

        max: float = Field(0.275, ge=0.0, le=1.0)

    def judge(self, document: Document) -> Drop | None:
        """Drops tables of numbers and code."""
        return _special(full_text(document), self.at.max)
