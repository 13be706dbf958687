"""What an importer is: it lists the items of a source, and turns each into found question-answer pairs.

An importer reads formats and knows nothing of image checks, storage, ids or workers; `importing` does those
for all of them. `items` runs once in the parent and should be light; `found` runs in the workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import Field

from curate.demonstrations.holdout import HoldoutSettings
from curate.images import MAX_PIXELS
from curate.registry import Registry
from curate.settings import Settings


class ImportSettings(Settings):
    """What all importers can be told."""

    source: str = ""
    """Name of the source in every record; by default the fetched sample's name, else the set's name."""
    licence: str = ""
    """Licence of every record; by default the fetched sample's."""
    task: str = ""
    """What is asked for; by default the importer's own: caption, category or instruction."""
    questions: tuple[str, ...] = ()
    """Questions to choose from by record id; by default those of questions.yaml for the task."""
    seed: int = 0
    """Chooses among the questions."""
    include: tuple[str, ...] = ("*",)
    """Shell patterns of record names to take; `*` also matches `/`."""
    exclude: tuple[str, ...] = ()
    """Shell patterns of record names to drop, such as boilerplate folders."""
    chunk: int = Field(256, ge=1)
    """Records a part."""
    max_bytes: int = Field(64_000_000, ge=1)
    """Largest image file that is read."""
    max_pixels: int = Field(MAX_PIXELS, ge=1)
    """Largest image that is decoded, width times height."""
    max_text: int = Field(20_000, ge=1)
    """Longest question or answer, in characters."""
    max_images: int = Field(32, ge=1)
    """Most images of one demonstration."""
    svg_size: int = Field(224, ge=1, le=4096)
    """Longer side of a rendered drawing, in pixels."""
    holdout: HoldoutSettings | None = None
    """Take only one side of a split by concept; null takes all."""


class Unusable(Exception):
    """A bad record; `reason` is a short stable word, `detail` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class Unwanted(Unusable):
    """A sound record that the settings leave out."""


@dataclass(frozen=True)
class Item:
    """One entry of a source, before it is read. `record` is its name in the source, unique there."""

    record: str
    files: tuple[str, ...] = ()  # what reading it will open, relative to the root: a change in them redoes it
    data: Any = None  # what the listing already knows of it; plain values that pickle
    digest: str = ""  # content hash of what else it depends on


@dataclass(frozen=True)
class Picture:
    """Where an image's bytes are: in a file below the root, or here already."""

    name: str = ""
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Found:
    """A question-answer pair as the source has it; empty fields are filled from the settings."""

    pictures: tuple[Picture, ...]
    answer: str
    question: str | None = None  # None: one of the templates
    task: str = ""
    concepts: tuple[str, ...] = ()
    format: str = ""  # by default caption without a question, open_qa with one
    context: str = ""
    licence: str = ""
    turn: int = 0


class Importer(Protocol):
    """Reads one format. Constructed in the parent and in every worker."""

    Settings: ClassVar[type[ImportSettings]]
    task: ClassVar[str]  # what is asked for when nothing else says it

    def __init__(self, path: str, settings: Any) -> None: ...

    @property
    def root(self) -> Path:
        """Folder below which every file of the source must lie."""

    def items(self) -> Iterator[Item]:
        """The entries of the source in an order that depends on nothing but the source."""

    def found(self, item: Item) -> Iterator[Found]:
        """The pairs of an item; Unusable or Unwanted ends the item, pairs yielded before it stand."""


IMPORTERS: Registry[type[Importer]] = Registry("importer")
