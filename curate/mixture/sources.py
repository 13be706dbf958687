"""The sources of a mixture, opened: shards that are there, with what the spec says about them."""

import os
from dataclasses import dataclass

from curate.engine import MANIFEST, StageManifest
from curate.errors import InputError
from curate.mixture.settings import MixSpec, SourceSpec
from curate.shards.index import TAR, index_name
from curate.shards.plans import PlanSource
from curate.shards.reading import load_manifest, shards_folder
from curate.storage import Folder


@dataclass(frozen=True)
class Source:
    """One opened set of shards."""

    name: str
    folder: Folder
    manifest: StageManifest
    shards: tuple[str, ...]
    weight: float | None
    max_repeats: int
    replay: bool

    def planned(self, plan: Folder) -> PlanSource:
        """The source as a plan in the folder `plan` names it: by a relative path where both are local."""
        place = self.folder.uri
        if self.folder.is_local and plan.is_local:
            place = os.path.relpath(os.path.abspath(self.folder.local()), os.path.abspath(plan.local()))
        sizes = tuple(self.manifest.sizes[shard] for shard in self.shards)
        return PlanSource(self.name, place, self.manifest.digest, self.shards, sizes, self.replay)


def open_source(source: SourceSpec, spec: MixSpec, place: str) -> Source:
    """The shards of a source at `place`; InputError when they are missing, unfinished or empty."""
    folder = shards_folder(place)
    if not folder.exists(MANIFEST):
        raise InputError(_what_is_missing(source, Folder.of(place)))
    manifest = load_manifest(folder)
    shards = tuple(manifest.tables(TAR))
    if not shards:
        raise InputError(f"source {source.name!r}: {place} has no shard, so there is nothing to draw; build episodes first")
    _check_files(source, folder, manifest, shards)
    repeats = source.max_repeats or spec.max_repeats
    return Source(source.name, folder, manifest, shards, source.weight, repeats, source.replay)


def _what_is_missing(source: SourceSpec, place: Folder) -> str:
    start = f"source {source.name!r}: {place.uri}"
    if not place.exists():
        return f"{start} does not exist; give the path of a run or of shards"
    if (place / "episodes").exists(MANIFEST):
        return f"{start} has episodes and no shards; write them first: curate shards write {place.uri}"
    if place.exists("demonstrations"):
        return (
            f"{start} has demonstrations and no shards; build episodes and shards first, or name it under"
            " `demonstrations:` to take each demonstration as a zero-shot sample"
        )
    return f"{start} has no shards ({MANIFEST} is missing); give a run, its shards' folder or a published version"


def _check_files(source: SourceSpec, folder: Folder, manifest: StageManifest, shards: tuple[str, ...]) -> None:
    listed = {} if folder.uri.startswith(("http://", "https://")) else folder.sizes()  # web servers need not list
    for name in (*shards, *map(index_name, shards)):
        there, stated = listed[name] if name in listed else folder.size(name), manifest.sizes.get(name)
        if there != stated:
            fault = "is missing" if there < 0 else f"has {there:,} bytes, its manifest says {stated}"
            raise InputError(
                f"source {source.name!r}: {folder.uri}/{name} {fault}; write the shards again, or pull the version again"
            )
