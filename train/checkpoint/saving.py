"""One save, from tensors to a folder in place: a copy in the training thread, the rest in a thread behind it.

Every rank writes its file and then a note that it is done, into one temporary folder that all ranks share. Rank 0
waits for the notes, writes the manifest and gives the folder its name. The ranks meet through these files only: a
collective in the background could cross one of the training's, and then both would wait forever.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from torch import Tensor

from curate.errors import ShotcraftError, StorageError
from curate.storage import Folder, clear_errors
from train.checkpoint.layout import MANIFEST, Adapter, Entry, Manifest, file_of, put_in_place
from train.checkpoint.shards import Chunk, write_shard

FAILED = "failed"
STALLED = 600.0
"""Seconds without a new byte from any rank after which rank 0 gives the save up."""


@dataclass
class Staging:
    """Memory on the CPU that the state is copied into, kept from save to save."""

    _buffers: dict[str, Tensor] = field(default_factory=dict)

    def copy(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """The chunks as they are now; later changes of the tensors do not reach the copies."""
        copies = [Chunk(chunk.name, self._copied(chunk), chunk.offset, chunk.whole) for chunk in chunks]
        if any(chunk.local.is_cuda for chunk in chunks):
            torch.cuda.synchronize()
        return copies

    def _copied(self, chunk: Chunk) -> Tensor:
        source, buffer = chunk.local, self._buffers.get(chunk.name)
        if buffer is None or buffer.shape != source.shape or buffer.dtype != source.dtype:
            buffer = torch.empty(source.shape, dtype=source.dtype, pin_memory=source.is_cuda)
            self._buffers[chunk.name] = buffer
        return buffer.copy_(source, non_blocking=True)


@dataclass(frozen=True)
class Facts:
    """What the manifest says besides the files."""

    made_with: str
    step: int
    world: int
    progress: Mapping[str, Any]
    figures: Mapping[str, float | None]
    adapters: Mapping[str, Adapter]
    frozen: Mapping[str, tuple[str, str]]

    def manifest(self, files: Mapping[str, Entry]) -> Manifest:
        """The manifest with the files."""
        return Manifest(**{**vars(self), "files": dict(files)})


def write(half: Path, final: Path, rank: int, chunks: Sequence[Chunk], facts: Facts) -> None:
    """This rank's part of a save. Rank 0 returns when the checkpoint has its name, another rank when its file is there."""
    try:
        with clear_errors(str(half)):
            half.mkdir(parents=True, exist_ok=True)
        entry = write_shard(half / file_of(rank), chunks)
        Folder.of(half).write(_note(rank), entry.model_dump_json().encode())
        if rank == 0:
            _finish(half, final, facts)
    except BaseException:
        _give_up(half, rank)
        raise


def _finish(half: Path, final: Path, facts: Facts) -> None:
    files = _files(half, facts.world)
    Folder.of(half).write(MANIFEST, facts.manifest(files).encode())
    for rank in range(facts.world):
        (half / _note(rank)).unlink()
    put_in_place(half, final)


def _files(half: Path, world: int) -> dict[str, Entry]:
    """Waits for every rank's note; StorageError when one says that it failed, or nothing comes any more."""
    missing, files = set(range(world)), {}
    moved, size = time.monotonic(), -1
    while missing:
        for rank in sorted(missing):
            if (half / f"{_note(rank)}.{FAILED}").exists():
                raise StorageError(f"rank {rank} could not write its part of {half.name}")
            if (half / _note(rank)).exists():
                files[file_of(rank)] = Entry(**json.loads((half / _note(rank)).read_bytes()))
        missing -= {rank for rank in missing if file_of(rank) in files}
        now = _bytes_in(half)
        moved, size = (time.monotonic(), now) if now != size else (moved, size)
        if missing and time.monotonic() - moved > STALLED:
            raise StorageError(f"rank {min(missing)} writes nothing more to {half.name}; do all ranks share this disk?")
        if missing:
            time.sleep(0.02)
    return files


def _note(rank: int) -> str:
    return f"done-{rank:05d}"


def _bytes_in(folder: Path) -> int:
    with suppress(FileNotFoundError):  # a rank that gives up takes its file away
        return sum(path.stat().st_size for path in folder.glob("rank-*"))
    return -1


def _give_up(half: Path, rank: int) -> None:
    """Leaves no half checkpoint; ranks other than 0 leave word for rank 0, for which a full disk has room."""
    if rank == 0:
        shutil.rmtree(half, ignore_errors=True)
        return
    (half / file_of(rank)).unlink(missing_ok=True)
    if half.is_dir():
        (half / f"{_note(rank)}.{FAILED}").touch()


class Background:
    """At most one job at a time, in a thread of its own; its error waits to be asked for."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def run(self, job: Callable[[], None], behind: bool) -> None:
        """Runs a job, behind the caller or before its eyes."""
        assert self._thread is None, "a save began before the last was joined"
        self._error = None
        if not behind:
            return self._do(job)
        self._thread = Thread(target=self._do, args=(job,), name="checkpoint", daemon=True)
        self._thread.start()
        return None

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            self._error = error

    def join(self, seconds: float | None = None) -> BaseException | None:
        """Waits for the job, or as long; its error, once."""
        if self._thread is not None:
            self._thread.join(seconds)
            self._thread = None
        error, self._error = self._error, None
        return error


def message_of(error: BaseException | None) -> str | None:
    """An error as one line for the other ranks."""
    if error is None:
        return None
    text = str(error) if isinstance(error, ShotcraftError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
