"""From any captioned set to Demonstrations: what all importers share.

An importer finds question-answer pairs; here their images are read below the source's root only, drawings
are rendered, everything is verified by decoding and stored by content, questions are chosen, and what is bad
is rejected with its reason while the rest goes on.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from curate import images
from curate.demonstrations import importers as _all_importers  # noqa: F401  fills the registry
from curate.demonstrations.found import IMPORTERS, Found, Importer, ImportSettings, Item, Picture, Unusable, Unwanted
from curate.demonstrations.reading import VECTOR, Root, clean
from curate.drawings import Renderer
from curate.engine import MANIFEST, Partition, PartWriter, Progress, StageManifest, lineage_of, run
from curate.errors import InputError
from curate.images import BadImage
from curate.layout import Run
from curate.schema import Demonstration, Image, Provenance, to_table
from curate.seeding import rng
from curate.settings import Settings, build
from curate.sources import locate, record_of
from curate.storage import Folder, ImageStore, hash_json


def import_set(
    kind: str,
    path: str,
    settings: Mapping[str, Any] | ImportSettings,
    run_: Run,
    name: str = "",
    workers: int = 1,
    progress: Progress | None = None,
) -> StageManifest:
    """Imports a set into RUN/demonstrations/NAME and returns the stage's manifest.

    `kind` is an importer's name, `path` a file, folder, `sample:NAME` or (for `datasets`) a hub's name.
    Raises InputError when the set as a whole cannot be read; bad records are rejected and counted.
    """
    place, name, checked = prepare(kind, path, settings, name)
    out = free_folder(run_, name, f"import-{kind}")
    stage = Import(kind, place, checked, run_.images)
    chunks = stage.partitions()
    if not chunks:
        raise InputError(f"{path} holds nothing that `{kind}` imports; see `curate import --help` for what each kind wants")
    return run(stage, chunks, out, {"source": hash_json([c.fingerprint for c in chunks])}, workers, progress)


def prepare(
    kind: str, path: str, settings: Mapping[str, Any] | ImportSettings, name: str = ""
) -> tuple[str, str, ImportSettings]:
    """The local place, the set's name, and checked settings with source and licence filled in."""
    importer = IMPORTERS.get(kind)
    place = str(locate(path))
    if not Path(place).exists() and (kind != "datasets" or path.startswith((".", "/")) or path.count("/") > 1):
        raise InputError(f"{path} does not exist; give the path of the set to import")
    known = record_of(Path(place)) if Path(place).is_dir() else {}
    given = settings.model_dump() if isinstance(settings, ImportSettings) else dict(settings)
    name = slug(name or str(known.get("name") or Path(path.removeprefix("sample:")).resolve().stem))
    given["source"] = given.get("source") or name
    given["licence"] = given.get("licence") or str(known.get("licence") or "")
    return place, name, build(importer.Settings, given, f"settings of {kind}")


def slug(name: str) -> str:
    """A name as a folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "set"


def free_folder(run_: Run, name: str, stage: str) -> Folder:
    """RUN/demonstrations/NAME; InputError when another kind of stage has filled it."""
    folder = run_.root / "demonstrations" / name
    if folder.exists(MANIFEST) and (other := StageManifest.load(folder).stage) != stage:
        raise InputError(f"demonstrations/{name} was made by {other}; give this one another name with --name")
    return folder


class Import:
    """Turns items of one importer into Demonstrations."""

    version = "1"

    def __init__(self, kind: str, path: str, settings: ImportSettings, store: ImageStore) -> None:
        self.name = f"import-{kind}"
        self.settings: Settings = settings
        self._set = settings
        self._kind, self._path, self._store = kind, path, store
        self._importer: Importer | None = None
        self._renderer = Renderer(settings.svg_size)
        self._lineage = lineage_of(self)

    def setup(self) -> None:
        """Opens the source once in every worker."""
        self._importer = IMPORTERS.get(self._kind)(self._path, self.settings)
        self._root = Root(self._importer.root)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_importer": None}

    def _opened(self) -> Importer:
        if self._importer is None:
            self.setup()
        assert self._importer is not None
        return self._importer

    def partitions(self) -> list[Partition[tuple[Item, ...]]]:
        """Chunks of items; each one's fingerprint is the content of all that it reads."""
        importer = self._opened()
        return [
            Partition(hash_json([self._content(item) for item in chunk]), chunk)
            for chunk in _chunks(importer.items(), self._set.chunk)
        ]

    def _content(self, item: Item) -> list[Any]:
        """What the making of an item depends on: its own data and the bytes of its files, or why they cannot be had."""
        files = dict.fromkeys(item.files) if self._wanted(item) else ()  # a record may name one file a million times
        return [item.record, item.digest, [_digest(self._root, name, self._set.max_bytes) for name in files]]

    def _wanted(self, item: Item) -> bool:
        return _matches(item.record, self._set.include) and not _matches(item.record, self._set.exclude)

    def process(self, payload: Sequence[Item], part: PartWriter) -> None:
        """Makes a part of Demonstrations."""
        made: list[Demonstration] = []
        for item in payload:
            self._take(item, part, made)
        part.table(to_table(made, Demonstration))

    def _take(self, item: Item, part: PartWriter, made: list[Demonstration]) -> None:
        cells = {"record": item.record.encode("utf-8", "replace").decode()}
        pairs = self._pairs(item)
        seen: dict[Picture, Image] = {}
        while True:
            try:
                found = next(pairs, None)
                if found is None:
                    return
                self._check_side(found)
                made.append(self._demonstration(item, found, seen))
                part.saw()
            except Unwanted as reason:
                part.saw()
                part.drop(**cells, reason=reason.reason, detail=reason.detail)
            except (Unusable, BadImage) as fault:
                part.saw()
                part.reject(**cells, reason=fault.reason, detail=_detail(fault))

    def _pairs(self, item: Item) -> Iterator[Found]:
        if item.record != item.record.encode("utf-8", "replace").decode():
            raise Unusable("bad_name", "the file's name is not UTF-8")
        if not self._wanted(item):
            raise Unwanted("excluded")
        yield from self._opened().found(item)

    def _check_side(self, found: Found) -> None:
        holdout = self._set.holdout
        if holdout and not holdout.takes(found.concepts):
            raise Unwanted(
                "held_out" if holdout.take == "rest" else "not_held_out", found.concepts[0] if found.concepts else ""
            )

    def _demonstration(self, item: Item, found: Found, seen: dict[Picture, Image]) -> Demonstration:
        most = self._set.max_text
        answer = clean(found.answer, most, "answer")
        if not answer:
            raise Unusable("no_answer")
        if not 0 < len(found.pictures) <= self._set.max_images:
            raise Unusable("too_many_images" if found.pictures else "no_image", f"{len(found.pictures)} images")
        identity = hash_json([self._set.source, item.record, found.turn])[:32]
        task = self._set.task or found.task or self._opened().task
        question = self._question(found, task, identity)
        return Demonstration(
            id=identity,
            images=tuple(self._image(picture, seen) for picture in found.pictures),
            question=question,
            answer=answer,
            task=task,
            concepts=tuple(dict.fromkeys(concept for c in found.concepts if (concept := clean(c, most, "concept")))),
            format=found.format or ("open_qa" if question else "caption"),
            document_id="",
            context=found.context,
            source=self._set.source,
            licence=found.licence or self._set.licence,
            provenance=Provenance(self._set.source, item.record, (self._lineage,)),
        )

    def _question(self, found: Found, task: str, identity: str) -> str:
        if found.question is not None:
            return clean(found.question, self._set.max_text, "question")
        choice = self._set.questions or templates().get(task) or templates()["open_qa"]
        return choice[int(rng(self._set.seed, "question", identity).integers(len(choice)))]

    def _image(self, picture: Picture, seen: dict[Picture, Image]) -> Image:
        if picture not in seen:
            data = picture.data
            if data is None:
                data = self._root.read(picture.name, self._set.max_bytes)
            if picture.name.lower().endswith(VECTOR):
                data = self._drawn(data)
            facts = images.verify(data, self._set.max_pixels)
            seen[picture] = Image(self._store.put(data, facts.extension), facts.width, facts.height, facts.phash)
        return seen[picture]

    def _drawn(self, data: bytes) -> bytes:
        drawn = self._renderer.render(data)
        if len(images.open_rgb(drawn).getcolors(2) or ()) == 1:
            raise BadImage("svg_blank", "nothing to see, or only text, which is not drawn")
        return drawn


def _detail(fault: Exception) -> str:
    detail = fault.detail if isinstance(fault, Unusable) else str(fault).partition(": ")[2]
    return detail.encode("utf-8", "replace").decode()[:300]


def _matches(record: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(record, pattern) for pattern in patterns)


def _chunks(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    rest = iter(items)
    while chunk := tuple(islice(rest, size)):
        yield chunk


def _digest(root: Root, name: str, most: int) -> str:
    try:
        return hashlib.sha256(root.read(name, most)).hexdigest()
    except Unusable as fault:
        return fault.reason


@cache
def templates() -> dict[str, list[str]]:
    """Questions by task, from questions.yaml."""
    text = resources.files("curate.demonstrations").joinpath("questions.yaml").read_text(encoding="utf-8")
    read: dict[str, list[str]] = yaml.safe_load(text)
    return read
