"""Filters that count: words of a node, words and images of a document."""

from pydantic import Field

from curate.documents.filters.base import FILTERS, DocumentFilter, Drop, TextFilter, full_text
from curate.schema import Document
from curate.settings import Settings


class Range(Settings):
    """Inclusive bounds of a count."""

    min: int = Field(0, ge=0)
    max: int = Field(10**9, ge=0)

    def judge(self, count: int) -> Drop | None:
        """Drops what lies outside."""
        return None if self.min <= count <= self.max else Drop(str(count))


@FILTERS.register("node_words")
class NodeWords(TextFilter):
    """Words (runs of non-space) of a text node."""

    class Thresholds(Range):
        """Words."""

        min: int = Field(4, ge=0)
        max: int = Field(1000, ge=0)

    def judge(self, text: str, language: str) -> Drop | None:
        """Drops stubs and dumps."""
        return Range.judge(self.at, len(text.split()))


@FILTERS.register("document_words")
class DocumentWords(DocumentFilter):
    """Words of all text nodes of a document."""

    class Thresholds(Range):
        """Words."""

        min: int = Field(10, ge=0)
        max: int = Field(2000, ge=0)

    def judge(self, document: Document) -> Drop | None:
        """Drops documents with next to no text, and books."""
        return Range.judge(self.at, len(full_text(document).split()))


@FILTERS.register("document_images")
class DocumentImages(DocumentFilter):
    """Image nodes of a document, after the image filters."""

    class Thresholds(Range):
        """Images."""

        min: int = Field(1, ge=0)
        max: int = Field(30, ge=0)

    def judge(self, document: Document) -> Drop | None:
        """Drops documents without pictures, and galleries."""
        return Range.judge(self.at, sum(node.kind == "image" for node in document.nodes))
