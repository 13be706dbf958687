"""The language of a document, told by a model that ships with its package (py3langid)."""

from functools import cache
from typing import Any

from pydantic import Field

from curate.documents.filters.base import FILTERS, DocumentFilter, Drop
from curate.schema import Document
from curate.settings import Settings

SAMPLE = 2000  # characters; more text hardly changes the answer
SHORTEST = 20  # letters; less says nothing


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> tuple[str, float]:
    """(ISO 639-1 code, probability) of a text; ("", 0) when it is too short to tell."""
    sample = text[:SAMPLE]
    if sum(sign.isalpha() for sign in sample) < SHORTEST:
        return "", 0.0
    language, probability = _identifier().classify(sample)
    return str(language), float(probability)


@FILTERS.register("language")
class Language(DocumentFilter):
    """Keeps documents in the named languages; those too short to tell are kept."""

    class Thresholds(Settings):
        """Codes as ISO 639-1 has them; an empty list allows all."""

        allow: list[str] = Field(default_factory=lambda: ["en"])

    def judge(self, document: Document) -> Drop | None:
        """Drops other languages."""
        known = not self.at.allow or document.language in ("", *self.at.allow)
        return None if known else Drop(document.language)
