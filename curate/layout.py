"""Where the stages of a run lie.

RUN/config.yaml                the settings that built it, when build-episodes did
RUN/images/                    every image of the run by content, original bytes
RUN/documents/SOURCE/          a stage folder of Documents for each source
RUN/demonstrations/SOURCE/     a stage folder of Demonstrations for each source
RUN/embeddings/                a stage folder: unit vectors of all demonstrations
RUN/index/SPACE/               the nearest-neighbour index over them, for SPACE image or text
RUN/episodes/                  a stage folder of Episodes, and lint.json
RUN/shards/                    WebDataset shards and their manifest
RUN/report.html                the page for people
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from curate.engine import MANIFEST, read_stage
from curate.errors import InputError
from curate.schema import Demonstration, Document, Episode, from_table
from curate.storage import Folder, ImageStore

R = TypeVar("R")


@dataclass(frozen=True)
class Run:
    """A run's folder and the places inside it."""

    root: Folder

    @classmethod
    def at(cls, place: "str | os.PathLike[str] | Folder") -> "Run":
        """The run in a folder."""
        return cls(Folder.of(place))

    @property
    def images(self) -> ImageStore:
        """The run's image store."""
        return ImageStore.at(self.root / "images")

    @property
    def embeddings(self) -> Folder:
        """Vectors of all demonstrations."""
        return self.root / "embeddings"

    @property
    def index(self) -> Folder:
        """The index over the vectors."""
        return self.root / "index"

    @property
    def episodes(self) -> Folder:
        """The episodes' stage folder."""
        return self.root / "episodes"

    @property
    def shards(self) -> Folder:
        """The shards and their manifest."""
        return self.root / "shards"

    def stages(self, room: str) -> list[Folder]:
        """Finished stage folders of a room with one folder a source ("documents", "demonstrations"), sorted."""
        here = self.root / room
        ends = f"/{MANIFEST}"
        return [here / name.removesuffix(ends) for name in here.names() if name.endswith(ends)]

    def required(self, room: str) -> list[Folder]:
        """Like `stages`, but InputError when there are none."""
        found = self.stages(room)
        if not found:
            raise InputError(f"{self.root.uri} has no {room}; make them first (curate --help lists the order)")
        return found

    def documents(self) -> Iterator[Document]:
        """All documents, source by source."""
        return self._records("documents", Document)

    def demonstrations(self) -> Iterator[Demonstration]:
        """All demonstrations, source by source."""
        return self._records("demonstrations", Demonstration)

    def built_episodes(self) -> Iterator[Episode]:
        """All episodes, part by part."""
        for table in read_stage(self.episodes):
            yield from from_table(table, Episode)

    def _records(self, room: str, record: type[R]) -> Iterator[R]:
        for folder in self.required(room):
            for table in read_stage(folder):
                yield from from_table(table, record)
