"""What a filter is: thresholds and one method that keeps or drops with a reason."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from curate.registry import Registry
from curate.schema import Document, Image
from curate.settings import Settings


class Drop(NamedTuple):
    """A filter's decision against a node or document: the number it saw, in words."""

    detail: str


class Filter:
    """Base of all filters; `name` is filled in by `made`."""

    class Thresholds(Settings):
        """A filter without thresholds."""

    name: str = ""

    def __init__(self, thresholds: Any) -> None:
        self.at = thresholds


class ImageFilter(Filter, ABC):
    """Judges a picture by what decoding told and by the address that the page gave."""

    @abstractmethod
    def judge(self, image: Image, href: str) -> Drop | None:
        """None to keep."""


class TextFilter(Filter, ABC):
    """Judges one text node."""

    @abstractmethod
    def judge(self, text: str, language: str) -> Drop | None:
        """None to keep; `language` is the document's, "" when unknown."""


class ReuseFilter(Filter, ABC):
    """Judges a picture by the number of documents of its source that show it."""

    @abstractmethod
    def judge(self, documents: int) -> Drop | None:
        """None to keep."""


class DocumentFilter(Filter, ABC):
    """Judges a whole document, after the node filters."""

    @abstractmethod
    def judge(self, document: Document) -> Drop | None:
        """None to keep."""


FILTERS: Registry[type[Filter]] = Registry("filter")

F = TypeVar("F", bound=Filter)


def made(kind: "Callable[..., F]", chosen: Mapping[str, Mapping[str, object]]) -> list[F]:
    """The chosen filters of one kind, ready to judge, in order of registration."""
    found: list[Any] = []
    for name in FILTERS:
        make = FILTERS.get(name)
        if name in chosen and issubclass(make, cast(type, kind)):
            rule = make(make.Thresholds.model_validate(chosen[name]))
            rule.name = name
            found.append(rule)
    return found


def full_text(document: Document) -> str:
    """All text nodes of a document, one a line."""
    return "\n".join(node.text for node in document.nodes if node.kind == "text")
