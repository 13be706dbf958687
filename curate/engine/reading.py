"""Finished stages as the input of later ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.engine.manifests import Partition, StageManifest
from curate.storage import Folder, read_table

if TYPE_CHECKING:
    import pyarrow as pa


def partitions_of(source: Folder, suffix: str = ".parquet") -> "list[Partition[SourcePart]]":
    """One partition for every part of a finished stage, so that part numbers stay the same downstream."""
    manifest = StageManifest.load(source)
    return [Partition(manifest.files[name], SourcePart(source, name)) for name in manifest.tables(suffix)]


@dataclass(frozen=True)
class SourcePart:
    """A part file of an earlier stage, as the payload of a later one."""

    folder: Folder
    name: str

    def table(self) -> "pa.Table":
        """The part's rows."""
        return read_table(self.folder, self.name)


def read_stage(folder: Folder, suffix: str = ".parquet") -> "Iterator[pa.Table]":
    """The tables of a finished stage, part by part."""
    for name in StageManifest.load(folder).tables(suffix):
        yield read_table(folder, name)
