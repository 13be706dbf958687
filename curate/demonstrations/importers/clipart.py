"""SVG drawings that say themselves what they show: the title in their own metadata (RDF with Dublin Core).

So Open Clip Art and Inkscape write it. The title is the caption; concepts are the folders, the innermost
first, or the drawing's keywords. A title may name a collection and not the drawing: `boilerplate` tells those.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal
from xml.parsers import expat

from curate.demonstrations.found import IMPORTERS, Found, ImportSettings, Item, Picture, Unusable, Unwanted
from curate.demonstrations.reading import VECTOR, Root, folder_concepts, words_of
from curate.drawings import checked

MOST_KEYWORDS = 64


class ClipartSettings(ImportSettings):
    """Settings of `curate import clipart`."""

    concepts_from: Literal["folders", "keywords"] = "folders"
    """The folders above the drawing, or the keywords in it."""
    skip_folders: tuple[str, ...] = ()
    """Folders, as words, that name no class; the next one up counts."""
    boilerplate: tuple[str, ...] = ()
    """Shell patterns, in lower case, of titles that do not say what the drawing shows, such as `*icon theme*`."""


@IMPORTERS.register("clipart")
class Clipart:
    """Drawings with a title of their own."""

    Settings: ClassVar[type[ImportSettings]] = ClipartSettings
    task: ClassVar[str] = "caption"

    def __init__(self, path: str, settings: ClipartSettings) -> None:
        self._path, self._settings = Path(path), settings

    @cached_property
    def root(self) -> Path:
        """The folder itself."""
        return self._path

    def items(self) -> Iterator[Item]:
        """One item a drawing."""
        for name in Root(self._path).files(VECTOR):
            yield Item(name, (name,))

    def found(self, item: Item) -> Iterator[Found]:
        """The drawing and its title; BadImage where its XML is out of bounds."""
        words = words_in(Root(self._path).read(item.record, self._settings.max_bytes))
        title = words_of(words.title)
        if not title:
            raise Unusable("no_caption", "the drawing has no title")
        if any(fnmatchcase(words.title.lower(), pattern) for pattern in self._settings.boilerplate):
            raise Unwanted("boilerplate", words.title[:200])
        yield Found((Picture(item.record),), title, question="", concepts=self._concepts(item.record, words))

    def _concepts(self, record: str, words: "Words") -> tuple[str, ...]:
        if self._settings.concepts_from == "keywords":
            return tuple(words_of(word.lower()) for word in words.keywords)
        return folder_concepts(record, self._settings.skip_folders)


@dataclass
class Words:
    """What a drawing's metadata says; filled while its XML is read."""

    title: str = ""
    keywords: list[str] = field(default_factory=list)
    _path: list[str] = field(default_factory=list)
    _text: str = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element opens."""
        self._path.append(name.rpartition(" ")[2])
        self._text = ""

    def text(self, text: str) -> None:
        """Text inside metadata."""
        if "metadata" in self._path:
            self._text += text

    def end(self, name: str) -> None:
        """An element closes: the work's own title (creators have one too), or a keyword of its subject."""
        path, text = self._path, " ".join(self._text.split())
        if "metadata" in path and text:
            if path[-2:] == ["Work", "title"]:
                self.title = self.title or text
            elif path[-1] == "li" and "subject" in path and len(self.keywords) < MOST_KEYWORDS:
                self.keywords.append(text)
        path.pop()
        self._text = ""


def words_in(data: bytes) -> Words:
    """Title and keywords of a drawing; BadImage, reason `svg_...`, where its XML is broken or out of bounds."""
    checked(data)
    words, parser = Words(), expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = words.start, words.end
    parser.CharacterDataHandler = words.text
    parser.Parse(data, True)
    return words
