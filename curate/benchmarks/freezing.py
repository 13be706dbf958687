"""Writing a benchmark once: what is frozen under a version is never replaced by other content."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from curate.benches import BENCH, IMAGES, ITEMS, Bench, BenchManifest, Item, counts_of, write_bench
from curate.errors import InputError
from curate.schema import to_table
from curate.storage import Folder, ImageStore, sha256, table_bytes


def freeze(
    folder: Folder, manifest: BenchManifest, items: Sequence[Item], pictures: Mapping[str, bytes], beside: Mapping[str, bytes]
) -> tuple[Bench, bool]:
    """Writes a benchmark, with the files `beside` it, and says whether the same content was there already. InputError when
    other content is frozen there under the same version."""
    unchanged = folder.exists(BENCH) and _is_there(folder, manifest, items)
    folder.remove(BENCH)  # first, so that a killed build leaves nothing that could be opened
    _remove_strangers(folder, set(pictures))
    for name, data in beside.items():
        folder.write(name, data)
    return write_bench(folder, manifest, items, pictures), unchanged


def _is_there(folder: Folder, manifest: BenchManifest, items: Sequence[Item]) -> bool:
    there = Bench.open(folder)
    files = {ITEMS: sha256(table_bytes(to_table(items, Item)))}
    would = Bench(folder, replace(manifest, counts=counts_of(items), files=files))
    if would.digest != there.digest and would.manifest.version == there.manifest.version:
        raise InputError(
            f"{folder.uri} is frozen as version {there.manifest.version} with other content;"
            " give the benchmark another version, or --out another folder"
        )
    return would.digest == there.digest


def _remove_strangers(folder: Folder, refs: set[str]) -> None:
    """Pictures of an earlier version, or of a build that was killed."""
    for name in (folder / IMAGES).names():
        if name.rpartition("/")[2] not in refs or name != ImageStore.name_of(name.rpartition("/")[2]):
            (folder / IMAGES).remove(name)
