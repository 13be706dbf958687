"""The run of a stage: what is missing is made, what is finished is kept, and a manifest closes it."""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from curate.engine.manifests import MANIFEST, RECEIPTS, P, Partition, Receipt, Stage, StageManifest, version_of
from curate.engine.workers import Task, work
from curate.errors import StorageError
from curate.storage import Folder, hash_json

TIMINGS = "timings.jsonl"


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
        todo = [Task(out, part_name(i), keys[i], partitions[i].payload) for i in range(len(keys)) if i not in receipts]
        for receipt, seconds in work(stage, todo, workers):
            _note_time(out, receipt, seconds)
            receipts[int(receipt.name.rpartition("-")[2])] = receipt
            progress.advance(receipt)
        manifest = _close(stage, [receipts[i] for i in range(len(keys))], out, dict(inputs or {}))
        progress.finish(manifest)
        return manifest


def part_name(index: int) -> str:
    """The name of the part that partition `index` makes."""
    return f"part-{index:05d}"


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
