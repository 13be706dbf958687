"""A frozen benchmark: the folder that `curate bench build` writes and `curate evaluate` reads.

BENCH/bench.json      what was asked for, counts, what answerers without a model score, the proof of disjointness; written last
BENCH/items.parquet   one row an Item
BENCH/images/         every picture by content, original bytes

An item is an episode with what scoring needs. Items of one `group` ask the same question about the same query picture in
another arrangement (where the positive demonstration stands, how the options are ordered); they are right or wrong
together, so a group is the unit of intervals and of tests. Nothing here is a pickle, and a benchmark whose bytes
changed is not opened.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from curate.errors import InputError, IntegrityError
from curate.schema import Episode, from_table, to_table
from curate.storage import Folder, ImageStore, hash_json, read_table, sha256, table_bytes

BENCH, ITEMS, IMAGES = "bench.json", "items.parquet", "images"
FORMAT = 1
NAME = re.compile(r"\w[\w.-]{0,99}")
"""Names of benchmarks; they become names of folders."""

Metric = Literal["choice", "exact", "soft", "vqa", "caption"]
"""choice: the likeliest of the item's choices. exact: the normalised text is an accepted answer. soft: it begins with or
holds one. vqa: VQA accuracy over several annotators' answers. caption: CIDEr and ROUGE-L."""

METRICS: tuple[Metric, ...] = ("choice", "exact", "soft", "vqa", "caption")


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark with its demonstrations."""

    id: str  # unique in the benchmark
    group: str  # the question; items of a group differ in arrangement only
    shots: int  # demonstrations of each class where there are classes, else demonstrations in all
    ways: int  # how many choices there are, 0 where the answer is open; chance is 1/ways
    choices: tuple[str, ...]  # everything the model may say ("A", "B", or made-up words), () where the answer is open
    answers: tuple[str, ...]  # accepted answers, the first is the query's own; annotators' answers may repeat
    episode: Episode  # demonstrations in order, then the query, as the model reads them


@dataclass(frozen=True)
class BenchManifest:
    """bench.json."""

    format: int
    name: str
    version: str  # the maker's, such as "1"; the digest tells contents apart
    title: str  # what it asks, in a line
    kind: str  # the builder or importer that made it
    metric: Metric
    domain: str  # where its pictures come from, such as "emoji, unseen style"
    spec: dict[str, Any]  # settings that built it
    counts: dict[str, dict[str, int]]  # shots -> {"items", "groups"}
    baselines: dict[str, dict[str, float]]  # shots -> answerer without a model (chance, copy-first, knn, ...) -> accuracy
    disjoint: dict[str, Any]  # what it was decontaminated against and what was left out, {} when nothing was
    licences: dict[str, int] = field(default_factory=dict)  # licence -> pictures
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256


class Bench:
    """An opened benchmark."""

    def __init__(self, folder: Folder, manifest: BenchManifest) -> None:
        self.folder, self.manifest = folder, manifest

    @classmethod
    def open(cls, place: "str | os.PathLike[str] | Folder", verify: bool = True) -> "Bench":
        """The benchmark in a folder; InputError when there is none, IntegrityError when it is not as it was frozen."""
        folder = Folder.of(place)
        bench = cls(folder, _manifest(folder))
        if verify and sha256(folder.read(ITEMS)) != bench.manifest.files[ITEMS]:
            raise IntegrityError(f"{folder.uri}/{ITEMS} is not what {BENCH} states; build or fetch the benchmark again")
        return bench

    @property
    def name(self) -> str:
        """The benchmark's name."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """Content hash: equal digests, equal items over equal pictures."""
        return hash_json({**asdict(self.manifest), "spec": {}, "disjoint": {}})

    @cached_property
    def items(self) -> list[Item]:
        """All items, in the order of the file."""
        return from_table(read_table(self.folder, ITEMS), Item)

    @property
    def shots(self) -> list[int]:
        """Numbers of shots it has items of, ascending."""
        return sorted(map(int, self.manifest.counts))

    @cached_property
    def images(self) -> ImageStore:
        """Its pictures."""
        return ImageStore.at(self.folder / IMAGES)

    def picture(self, ref: str) -> bytes:
        """A picture's original bytes; IntegrityError when they are not what the ref says."""
        data = self.images.get(ref)
        if sha256(data) != ref.split(".")[0]:
            raise IntegrityError(f"{self.folder.uri} holds another picture under {ref[:12]}…; build or fetch it again")
        return data


def write_bench(
    folder: Folder, manifest: BenchManifest, items: Iterable[Item], pictures: Mapping[str, bytes] | None = None
) -> Bench:
    """Writes a benchmark; bench.json comes last, so that one that is there is whole. Equal content, equal bytes.

    `counts` and `files` of the manifest are filled in here. `pictures` (ref -> bytes) are stored; without them they must
    lie in BENCH/images already. InputError when an item's picture is not there, or two items share an id.
    """
    rows = list(items)
    store = ImageStore.at(folder / IMAGES)
    for ref, data in (pictures or {}).items():
        if store.put(data, ref.split(".")[-1]) != ref:
            raise InputError(f"the bytes given for picture {ref[:12]}… have another hash")
    _check(rows, store, folder)
    data = table_bytes(to_table(rows, Item))
    folder.write(ITEMS, data)
    whole = BenchManifest(**{**vars(manifest), "counts": counts_of(rows), "files": {ITEMS: sha256(data)}})
    text = json.dumps(asdict(whole), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    folder.write(BENCH, (text + "\n").encode())
    return Bench(folder, whole)


def _check(items: list[Item], store: ImageStore, folder: Folder) -> None:
    if not items:
        raise InputError(f"{folder.uri} would be a benchmark without items")
    if len({item.id for item in items}) < len(items):
        raise InputError(f"two items of {folder.uri} share an id")
    shots = [shot for item in items for shot in (*item.episode.demonstrations, item.episode.query)]
    for ref in sorted({image.ref for shot in shots for image in shot.images}):
        if ref not in store:
            raise InputError(f"picture {ref[:12]}… of {folder.uri} is missing")


def counts_of(items: Iterable[Item]) -> dict[str, dict[str, int]]:
    """Items and groups by number of shots, as bench.json states them."""
    groups: dict[str, list[str]] = {}
    for item in items:
        groups.setdefault(str(item.shots), []).append(item.group)
    return {shots: {"items": len(names), "groups": len(set(names))} for shots, names in groups.items()}


def _typed(manifest: BenchManifest) -> bool:
    """Whether mappings are mappings, words are words and numbers of shots are numbers."""
    mappings = (manifest.spec, manifest.counts, manifest.baselines, manifest.disjoint, manifest.licences, manifest.files)
    words = (manifest.version, manifest.title, manifest.kind, manifest.domain)
    typed = all(isinstance(one, dict) for one in mappings) and all(isinstance(one, str) for one in words)
    return typed and all(shots.isdecimal() for shots in (*manifest.counts, *manifest.baselines))


def _manifest(folder: Folder) -> BenchManifest:
    if not folder.exists(BENCH):
        raise InputError(f"{folder.uri} holds no benchmark ({BENCH} is missing); make one: curate bench build SPEC.yaml")
    try:
        manifest = BenchManifest(**json.loads(folder.read(BENCH)))
        sound = manifest.metric in METRICS and NAME.fullmatch(manifest.name) and ITEMS in manifest.files and _typed(manifest)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise IntegrityError(f"{folder.uri}/{BENCH} is not a benchmark's manifest; build or fetch the benchmark again")
    if manifest.format != FORMAT:
        raise InputError(f"{folder.uri} holds a benchmark of format {manifest.format}, this version reads {FORMAT}")
    return manifest
