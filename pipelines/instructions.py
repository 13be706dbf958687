"""Instruction sets and demonstrations as sources of a mixture: a small run with shards of zero-shot samples."""

import os
from pathlib import Path

from curate.demonstrations import import_set, prepare
from curate.engine import Progress, StageManifest, check_rejected
from curate.episodes.singles import build_singles
from curate.errors import InputError
from curate.layout import Run
from curate.mixture.settings import SourceSpec, resolved
from curate.shards import write_shards
from curate.storage import Folder, hash_json

SOURCES = "sources"
MOST_REJECTED = 0.5
"""Share of an instruction set that may be unreadable."""


def prepare_source(
    source: SourceSpec, base: Path, root: Folder, shared: bool, workers: int, progress: Progress | None
) -> Folder:
    """Makes ROOT/sources/NAME: import, zero-shot samples, shards; what is finished is kept. Returns the run's folder.

    `shared` adds a hash of the set's content to the folder's name, so that plans which share a catalogue and
    call different sets by one name do not take each other's place.
    """
    check_prepared(source, base)
    run = Run.at(root / SOURCES / _folder_name(source, base, shared))
    origin = run
    if source.instructions:
        place = resolved(base, source.instructions)
        made = import_set("llava", place, _import_settings(source, base), run, source.name, workers, progress)
        check_rejected(made, MOST_REJECTED)
    else:
        origin = Run.at(resolved(base, source.demonstrations))
    build_singles(origin, run, workers, progress)
    write_shards(run, None, workers, progress, origin.images)
    return run.root


def check_prepared(source: SourceSpec, base: Path) -> None:
    """InputError or ConfigError, before any work, when the set or the run is not there."""
    if source.instructions:
        if source.images and not os.path.isdir(resolved(base, source.images)):
            raise InputError(f"source {source.name!r}: {source.images} is no folder; give the folder of its pictures")
        prepare("llava", resolved(base, source.instructions), _import_settings(source, base), source.name)
        return
    place = resolved(base, source.demonstrations)
    if not Run.at(place).stages("demonstrations"):
        raise InputError(f"source {source.name!r}: {place} has no demonstrations; import them first (curate import)")


def _import_settings(source: SourceSpec, base: Path) -> dict[str, str]:
    """Pictures are named relative to the JSON file, so that no path of this machine is recorded."""
    beside = os.path.dirname(os.path.abspath(resolved(base, source.instructions)))
    folder = os.path.relpath(os.path.abspath(resolved(base, source.images)), beside) if source.images else "."
    return {"image_root": folder, "source": source.name, "licence": source.licence}


def _folder_name(source: SourceSpec, base: Path, shared: bool) -> str:
    if not shared:
        return source.name
    if source.demonstrations:
        stages = Run.at(resolved(base, source.demonstrations)).stages("demonstrations")
        return f"{source.name}-{hash_json([StageManifest.load(stage).digest for stage in stages])[:12]}"
    return f"{source.name}-{hash_json([_content(resolved(base, source.instructions)), _import_settings(source, base)])[:12]}"


def _content(path: str) -> str:
    """SHA-256 of the JSON file, or of every JSON file directly in a folder."""
    import hashlib

    files = [Path(path)] if os.path.isfile(path) else sorted(p for p in Path(path).iterdir() if p.suffix.startswith(".json"))
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as data:
            total.update(hashlib.file_digest(data, "sha256").digest())
    return total.hexdigest()
