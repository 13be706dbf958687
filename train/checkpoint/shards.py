"""A rank's file: safetensors whose chunks know where in their whole tensors they lie.

The format is safetensors as everybody reads it. We write it ourselves, since that takes twenty lines and lets the
digest be made on the way and the bytes go to the disk from the tensors' own memory; we read with the library.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from curate.errors import IntegrityError
from curate.storage import clear_errors
from train.checkpoint.layout import Entry

if TYPE_CHECKING:
    from safetensors import safe_open

PLACES = "places"
"""Key of the header's metadata: JSON, name -> [offset, shape of the whole]."""

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip

_TYPES = {word: dtype for dtype, word in DTYPES.items()}

BLOCK = 1 << 26
"""Bytes that are hashed and written at a time."""

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""Where a chunk lies in its tensor: offset and shape."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a tensor, as one rank holds it."""

    name: str
    local: Tensor
    offset: tuple[int, ...]
    whole: tuple[int, ...]  # shape of the tensor it is a piece of

    @property
    def box(self) -> Box:
        """Where it lies."""
        return self.offset, tuple(self.local.shape)


def write_shard(path: Path, chunks: Sequence[Chunk]) -> Entry:
    """Writes chunks (on the CPU) and waits for the disk; size and digest of the file. StorageError for a full disk."""
    digest, size = hashlib.sha256(), 0
    with clear_errors(str(path)), path.open("wb", buffering=0) as file:
        for block in _blocks(chunks):
            digest.update(block)  # lets other threads run meanwhile, as writing does
            size += len(block)
            while block:
                block = block[file.write(block) :]
        os.fsync(file.fileno())
    return Entry(size=size, sha256=digest.hexdigest())


def _blocks(chunks: Sequence[Chunk]) -> Iterator[memoryview]:
    header = _header(chunks)
    yield memoryview(len(header).to_bytes(8, "little") + header)
    for chunk in chunks:
        data = memoryview(_bytes_of(chunk.local).numpy())
        for start in range(0, len(data), BLOCK):
            yield data[start : start + BLOCK]


def _bytes_of(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def _header(chunks: Sequence[Chunk]) -> bytes:
    places = {chunk.name: [chunk.offset, chunk.whole] for chunk in chunks}
    header: dict[str, Any] = {"__metadata__": {PLACES: json.dumps(places, separators=(",", ":"))}}
    start = 0
    for chunk in chunks:
        stop = start + chunk.local.numel() * chunk.local.element_size()
        header[chunk.name] = {"dtype": DTYPES[chunk.local.dtype], "shape": chunk.local.shape, "data_offsets": [start, stop]}
        start = stop
    words = json.dumps(header, separators=(",", ":")).encode()
    return words + b" " * (-len(words) % 8)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Shard:
    """One file, opened for reading."""

    def __init__(self, path: Path, file: "safe_open") -> None:
        self.path, self._file = path, file
        self.boxes: dict[str, Box] = {}
        self.wholes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, torch.dtype] = {}
        metadata = cast(dict[str, str], file.metadata() or {})
        places = json.loads(metadata[PLACES])
        for name in file.keys():  # noqa: SIM118  it is no mapping
            offset, whole = (tuple(map(int, numbers)) for numbers in places[name])
            piece = file.get_slice(name)
            self.boxes[name], self.dtypes[name] = (offset, tuple(piece.get_shape())), _TYPES[piece.get_dtype()]
            self.wholes[name] = whole
            _check(name, self.boxes[name], whole)

    def read(self, name: str, box: Box) -> Tensor:
        """The elements of a tensor that lie in `box`, which must lie in this file's chunk of it."""
        start, _ = self.boxes[name]
        offset, shape = box
        piece = self._file.get_slice(name)
        if not shape:
            return cast(Tensor, self._file.get_tensor(name))
        return cast(Tensor, piece[tuple(slice(o - s, o - s + n) for o, s, n in zip(offset, start, shape, strict=True))])


def _check(name: str, box: Box, whole: tuple[int, ...]) -> None:
    offset, shape = box
    if len(offset) != len(whole) or len(shape) != len(whole):
        raise ValueError(f"{name} has a chunk of another rank")
    if any(o < 0 or o + n > w for o, n, w in zip(offset, shape, whole, strict=True)):
        raise ValueError(f"{name} has a chunk outside itself")


@contextmanager
def opened(path: Path) -> Iterator[Shard]:
    """A rank's file; IntegrityError when it is not one."""
    from safetensors import SafetensorError, safe_open

    with _refusing(path, SafetensorError, OSError), safe_open(str(path), framework="pt") as file:
        with _refusing(path, KeyError, TypeError, ValueError, RecursionError):
            shard = Shard(path, file)
        yield shard


@contextmanager
def _refusing(path: Path, *errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except errors as error:
        raise IntegrityError(f"{path} is not readable: {' '.join(str(error).split())[:200]}") from None
