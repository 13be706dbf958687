"""Runs a stage over its partitions and makes it resumable; a stage never knows on how many workers.

A stage turns one partition into files: it is handed a `PartWriter`, says what it saw, dropped and
rejected, and writes a table. The engine commits each part with a small receipt, skips parts whose receipt
still fits on the next run, and closes the stage with a manifest. Receipts, parts and manifest are equal
bytes for equal inputs and settings, whatever the number of workers and interruptions; the seconds, which
are not, stand in `timings.jsonl`.
"""

import fcntl
import json
import os
import pickle
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from curate import __version__
from curate.errors import InputError, QualityError, StorageError
from curate.settings import Settings
from curate.storage import Atomic, Folder, canonical_json, hash_json, read_table, sha256, table_bytes

if TYPE_CHECKING:
    import pyarrow as pa

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)

RECEIPTS = "receipts"
MANIFEST = "manifest.json"
TIMINGS = "timings.jsonl"


@dataclass(frozen=True)
class Partition(Generic[P]):
    """One unit of work. `fingerprint` changes whenever the work's input does; `payload` must pickle."""

    fingerprint: str
    payload: P


class Stage(Protocol[P_contra]):
    """A step of the pipeline: small, typed, and ignorant of files, workers and other partitions."""

    name: str
    version: str  # raised by hand when the same input and settings give other output

    @property
    def settings(self) -> Settings:
        """What shapes the output; a plain attribute of any Settings subclass will do."""

    def setup(self) -> None:
        """Called once in every worker before the first partition: load models here."""

    def process(self, payload: P_contra, part: "PartWriter") -> None:
        """Turns one partition into a part."""


class PartWriter:
    """Where a stage puts what it makes of one partition."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder, self._name = folder, name
        self._files: dict[str, str] = {}
        self._seen = self._made = 0
        self._left: dict[str, list[dict[str, str]]] = {"dropped": [], "rejected": []}
        self._tallies: dict[str, Counter[str]] = {}

    def saw(self, records: int = 1) -> None:
        """Counts records that came in."""
        self._seen += records

    def drop(self, record: str, reason: str, detail: str = "") -> None:
        """A filter's decision: the record is sound and not wanted."""
        self._left["dropped"].append({"record": record, "reason": reason, "detail": detail})

    def reject(self, record: str, reason: str, detail: str = "") -> None:
        """A bad record: unreadable, incomplete or hostile."""
        self._left["rejected"].append({"record": record, "reason": reason, "detail": detail})

    def tally(self, kind: str, name: str, count: int = 1) -> None:
        """Counts something worth knowing of the stage as a whole, such as ("licence", "CC0"); the manifest has the sums."""
        self._tallies.setdefault(kind, Counter())[name] += count

    def table(self, table: "pa.Table", suffix: str = "parquet") -> None:
        """Writes the part's records; rows count as made."""
        self._made += table.num_rows
        self.file(suffix, table_bytes(table))

    def file(self, suffix: str, data: bytes) -> None:
        """Writes a file of the part, such as its vectors."""
        name = f"{self._name}.{suffix}"
        self._folder.write(name, data)
        self._files[name] = sha256(data)

    def open(self, suffix: str) -> Atomic:
        """A file of the part too large to hold in memory; call `hashed` once it is closed."""
        return self._folder.open_atomic(f"{self._name}.{suffix}")

    def hashed(self, suffix: str, digest: str, records: int = 0) -> None:
        """Files the SHA-256 of a file written through `open`; its records count as made."""
        self._files[f"{self._name}.{suffix}"] = digest
        self._made += records

    def close(self, key: str) -> "Receipt":
        """Writes the lists of drops and rejections, then the receipt that makes the part count."""
        for kind, rows in self._left.items():
            name = f"{kind}/{self._name}.jsonl"
            if rows:
                data = b"".join(canonical_json(row) + b"\n" for row in rows)
                self._folder.write(name, data)
                self._files[name] = sha256(data)
            else:
                self._folder.remove(name)
        reasons = {kind: dict(sorted(Counter(r["reason"] for r in rows).items())) for kind, rows in self._left.items()}
        sizes = {name: self._folder.size(name) for name in self._files}
        tallies = {kind: dict(sorted(counter.items())) for kind, counter in sorted(self._tallies.items())}
        receipt = Receipt(self._name, key, self._files, sizes, self._seen, self._made, **reasons, tallies=tallies)
        self._folder.write(f"{RECEIPTS}/{self._name}.json", canonical_json(vars(receipt)))
        return receipt


@dataclass
class Receipt:
    """What one finished part holds."""

    name: str
    key: str
    files: dict[str, str]
    sizes: dict[str, int]
    seen: int
    made: int
    dropped: dict[str, int]
    rejected: dict[str, int]
    tallies: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass
class StageManifest:
    """What a finished stage holds, and the hash that stands for all of it downstream."""

    stage: str
    version: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, str]  # name inside the stage's folder -> SHA-256
    counts: dict[str, int]  # in, out, dropped, rejected
    dropped: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    parts: list[dict[str, Any]] = field(default_factory=list)  # name, in, out of every part, in order
    sizes: dict[str, int] = field(default_factory=dict)  # name -> bytes
    tallies: dict[str, dict[str, int]] = field(default_factory=dict)  # kind -> name -> count, see PartWriter.tally

    @property
    def digest(self) -> str:
        """Content hash: equal digests, equal output files."""
        return hash_json(vars(self))

    @property
    def lineage(self) -> str:
        """The entry that this stage adds to a record's provenance. It names the recipe (stage, version,
        settings), which is known before the first record is made."""
        return lineage(self.stage, self.version, self.settings)

    def save(self, folder: Folder) -> None:
        """Writes manifest.json: the stage is finished."""
        text = json.dumps(vars(self), indent=2, sort_keys=True, ensure_ascii=False)
        folder.write(MANIFEST, (text + "\n").encode())

    @classmethod
    def load(cls, folder: Folder) -> "StageManifest":
        """The manifest in a folder; InputError when the stage is missing or unfinished."""
        if not folder.exists(MANIFEST):
            raise InputError(f"{folder.uri} holds no finished stage ({MANIFEST} is missing); run its command first")
        try:
            return cls(**json.loads(folder.read(MANIFEST)))
        except (ValueError, TypeError):
            raise InputError(f"{folder.uri}/{MANIFEST} is not a stage manifest; remove the folder and run again") from None

    def tables(self, suffix: str = ".parquet") -> list[str]:
        """Names of the stage's part files with a suffix, in order."""
        return sorted(name for name in self.files if name.endswith(suffix))


def lineage(stage: str, version: str, settings: Mapping[str, Any]) -> str:
    """`stage:12 digits` for a record's provenance."""
    return f"{stage}:{hash_json([stage, version, settings])[:12]}"


def version_of(stage: Stage[Any]) -> str:
    """Package version and the stage's own, as manifests record them."""
    return f"{__version__}/{stage.version}"


def lineage_of(stage: Stage[Any]) -> str:
    """The lineage entry for records that `stage` makes."""
    return lineage(stage.name, version_of(stage), stage.settings.model_dump(mode="json"))


class Progress(Protocol):
    """Who watches a stage: the command line shows a bar or plain lines, a library caller nothing."""

    def start(self, stage: str, total: int, done: int) -> None:
        """`done` of `total` parts were finished by an earlier run."""

    def advance(self, receipt: Receipt) -> None:
        """One more part is finished."""

    def finish(self, manifest: StageManifest) -> None:
        """The stage is finished."""


class Quiet:
    """A Progress that shows nothing."""

    def start(self, stage: str, total: int, done: int) -> None:
        """Shows nothing."""

    def advance(self, receipt: Receipt) -> None:
        """Shows nothing."""

    def finish(self, manifest: StageManifest) -> None:
        """Shows nothing."""


def run(
    stage: Stage[P],
    partitions: Sequence[Partition[P]],
    out: Folder,
    inputs: Mapping[str, str] | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> StageManifest:
    """Runs what is missing of a stage and returns its manifest.

    `inputs` names what the stage read, as {name: content hash}. Raises StorageError when the disk is
    full or another process writes to `out`; finished parts stay and the next call goes on from them.
    """
    progress = progress or Quiet()
    with _alone_in(out):
        out.clean()
        keys = [hash_json([_recipe(stage), partition.fingerprint]) for partition in partitions]
        receipts = {i: r for i, key in enumerate(keys) if (r := _finished(out, part_name(i), key))}
        progress.start(stage.name, len(partitions), len(receipts))
        if len(receipts) < len(partitions):
            out.remove(MANIFEST)
        todo = [_Task(out, part_name(i), keys[i], partitions[i].payload) for i in range(len(keys)) if i not in receipts]
        for receipt, seconds in _work(stage, todo, workers):
            _note_time(out, receipt, seconds)
            receipts[int(receipt.name.rpartition("-")[2])] = receipt
            progress.advance(receipt)
        manifest = _close(stage, [receipts[i] for i in range(len(keys))], out, dict(inputs or {}))
        progress.finish(manifest)
        return manifest


def part_name(index: int) -> str:
    """The name of the part that partition `index` makes."""
    return f"part-{index:05d}"


def check_rejected(manifest: StageManifest, max_rejected: float) -> None:
    """QualityError when more than a share `max_rejected` of what came in was rejected."""
    rejected, seen = manifest.counts["rejected"], manifest.counts["in"]
    if seen and rejected / seen > max_rejected:
        worst = ", ".join(f"{n} {reason}" for reason, n in sorted(manifest.rejected.items(), key=lambda item: -item[1])[:3])
        raise QualityError(
            f"{manifest.stage}: {rejected} of {seen} records rejected ({worst}), over --max-rejected {max_rejected:g};"
            f" see rejected/ in its folder, or raise the limit"
        )


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


@dataclass(frozen=True)
class _Task:
    out: Folder
    name: str
    key: str
    payload: Any


def _recipe(stage: Stage[Any]) -> list[Any]:
    return [stage.name, version_of(stage), stage.settings.model_dump(mode="json")]


def _finished(out: Folder, name: str, key: str) -> Receipt | None:
    """The receipt of a part that this very recipe and input made and whose files are all there."""
    if not out.exists(f"{RECEIPTS}/{name}.json"):
        return None
    try:
        receipt = Receipt(**json.loads(out.read(f"{RECEIPTS}/{name}.json")))
    except (ValueError, TypeError):
        return None
    fits = receipt.key == key and all(out.size(file) == size for file, size in receipt.sizes.items())
    return receipt if fits else None


def _run_task(stage: Stage[Any], task: _Task) -> tuple[Receipt, float]:
    began = time.perf_counter()
    part = PartWriter(task.out, task.name)
    task.out.remove(f"{RECEIPTS}/{task.name}.json")
    stage.process(task.payload, part)
    return part.close(task.key), time.perf_counter() - began


def _work(stage: Stage[Any], todo: list[_Task], workers: int) -> Iterator[tuple[Receipt, float]]:
    if workers <= 1 or len(todo) <= 1:
        if todo:
            stage.setup()
        for task in todo:
            yield _run_task(stage, task)
        return
    yield from _work_in_pool(stage, todo, workers)


def _work_in_pool(stage: Stage[Any], todo: list[_Task], workers: int) -> Iterator[tuple[Receipt, float]]:
    pool = ProcessPoolExecutor(
        min(workers, len(todo)), get_context("spawn"), initializer=_enter_worker, initargs=(pickle.dumps(stage),)
    )
    waiting: set[Future[tuple[Receipt, float]]] = set()
    try:
        for task in todo:
            with _interrupts_held():
                waiting.add(pool.submit(_run_in_worker, task))
            if len(waiting) >= 2 * workers:  # a bounded window keeps memory flat
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool:
        raise StorageError(
            "a worker process died, most likely for lack of memory; lower --workers and run again, finished parts are kept"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Workers started meanwhile inherit that Ctrl-C is not for them; the parent hears of it a moment later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_stage_here: Stage[Any] | None = None  # set once in each worker process, never in the parent


def _enter_worker(pickled: bytes) -> None:
    global _stage_here
    stage: Stage[Any] = pickle.loads(pickled)
    stage.setup()
    _stage_here = stage


def _run_in_worker(task: _Task) -> tuple[Receipt, float]:
    assert _stage_here is not None
    return _run_task(_stage_here, task)


def _note_time(out: Folder, receipt: Receipt, seconds: float) -> None:
    if out.is_local:
        line = json.dumps({"part": receipt.name, "seconds": round(seconds, 3), "in": receipt.seen})
        with out.local(TIMINGS).open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def _close(stage: Stage[Any], receipts: list[Receipt], out: Folder, inputs: dict[str, str]) -> StageManifest:
    dropped, rejected = Counter[str](), Counter[str]()
    for receipt in receipts:
        dropped.update(receipt.dropped)
        rejected.update(receipt.rejected)
    manifest = StageManifest(
        stage=stage.name,
        version=version_of(stage),
        settings=stage.settings.model_dump(mode="json"),
        inputs=inputs,
        files={name: digest for receipt in receipts for name, digest in sorted(receipt.files.items())},
        counts={
            "in": sum(receipt.seen for receipt in receipts),
            "out": sum(receipt.made for receipt in receipts),
            "dropped": dropped.total(),
            "rejected": rejected.total(),
        },
        dropped=dict(sorted(dropped.items())),
        rejected=dict(sorted(rejected.items())),
        parts=[{"name": r.name, "in": r.seen, "out": r.made} for r in receipts],
        sizes={name: size for receipt in receipts for name, size in sorted(receipt.sizes.items())},
        tallies=_sum_tallies(receipts),
    )
    _remove_strangers(out, receipts)
    manifest.save(out)
    return manifest


def _sum_tallies(receipts: list[Receipt]) -> dict[str, dict[str, int]]:
    sums: dict[str, Counter[str]] = {}
    for receipt in receipts:
        for kind, counts in receipt.tallies.items():
            sums.setdefault(kind, Counter()).update(counts)
    return {kind: dict(sorted(counter.items())) for kind, counter in sorted(sums.items())}


def _remove_strangers(out: Folder, receipts: list[Receipt]) -> None:
    """Parts of an earlier run with other inputs must not mix with this one's."""
    ours = {name for receipt in receipts for name in receipt.files} | {f"{RECEIPTS}/{r.name}.json" for r in receipts}
    for name in out.names():
        if "part-" in name and name not in ours:
            out.remove(name)


@contextmanager
def _alone_in(out: Folder) -> Iterator[None]:
    """Holds the folder's lock, so that two runs cannot write the same stage."""
    if not out.is_local:
        yield
        return
    path = out.local()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot create {path}: {error.strerror}; choose another --out") from None
    lock = os.open(path / ".lock", os.O_CREAT | os.O_RDWR)
    try:
        _lock(lock, path)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(f"another curate process is writing to {path}; wait for it or choose another --out") from None
