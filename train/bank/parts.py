"""A part: an immutable safetensors file with many entries of one aggregator.

Its header has the aggregator's facts, and for every entry a sum over all that is read of it: key, aggregator, dtype, shape
and bytes. A torn or foreign file is told when it is opened, a changed bit when its entry is read.
"""

import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from curate.storage import sha256
from train.bank.faults import Damaged, Unreadable
from train.bank.keys import KEY, model_of

HEADER, FORMAT, ENDING = "shotcraft-bank", 1, ".safetensors"
HEADED = 256
"""Bytes of a part's header for an entry, about."""

DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}

Entries = Mapping[str, torch.Tensor]
"""key -> H, [n, D]."""


@dataclass(frozen=True)
class Part:
    """What is known of a part without a look at its tensors."""

    name: str
    size: int  # bytes of the file
    facts: dict[str, Any]
    model: str  # digest of the facts
    sums: dict[str, int]  # key -> CRC-32


def plain(key: str, hidden: torch.Tensor) -> torch.Tensor:
    """A tensor as it is stored: on the CPU, contiguous, its memory its own. ValueError for what is no entry."""
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is no key; key_of makes them")
    if hidden.dim() != 2 or hidden.dtype not in DTYPES:
        raise ValueError(f"an entry is [n, D] in float32, bfloat16 or float16, not {list(hidden.shape)} in {hidden.dtype}")
    return hidden.detach().to("cpu", copy=True).contiguous()


def encode(entries: Entries, facts: Mapping[str, Any]) -> tuple[Part, bytes]:
    """Plain entries as a part and its bytes. Equal entries give equal bytes, and the name is their hash."""
    from safetensors.torch import save

    model = model_of(facts)
    sums = {key: _sum(key, model, hidden) for key, hidden in sorted(entries.items())}
    header = {"format": FORMAT, "facts": _writable(dict(facts)), "model": model, "sums": sums}
    data: bytes = save(dict(entries), {HEADER: json.dumps(header, sort_keys=True)})
    return Part(f"{sha256(data)[:32]}{ENDING}", len(data), dict(facts), model, sums), data


class OpenPart:
    """A part, memory-mapped."""

    def __init__(self, path: Path) -> None:
        """FileNotFoundError when it is gone, Unreadable when the system refuses, Damaged for anything else but a part."""
        from safetensors import SafetensorError, safe_open

        self._path = path
        with _refusing(SafetensorError):
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode):
                raise Damaged("foreign", "no regular file")
            try:
                self._file = safe_open(os.fspath(path), framework="pt")
            except RuntimeError as error:  # torch maps what safetensors has read; between the two it may go
                raise _unmapped(path, error) from None
            self.part = _part(path.name, found.st_size, self._file)

    def read(self, key: str) -> torch.Tensor:
        """The entry in memory of its own; Damaged when it is not what was written."""
        self._check_size()
        hidden = self._file.get_tensor(key).clone()
        if _sum(key, self.part.model, hidden) != self.part.sums[key]:
            raise Damaged("changed", key[:12])
        return hidden

    def _check_size(self) -> None:
        """Reading a mapping beyond the end of a file that was cut would end the process."""
        try:
            size = self._path.stat().st_size
        except OSError:
            return  # evicted meanwhile: the mapping keeps the bytes
        if size != self.part.size:
            raise Damaged("truncated" if size < self.part.size else "changed", f"{size} of {self.part.size} bytes")


def pieces(entries: Entries, room: int) -> Iterator[Entries]:
    """Entries in their order as parts of about `room` bytes at most, of a single entry where that is larger."""
    some: dict[str, torch.Tensor] = {}
    held = 0
    for key, hidden in entries.items():
        size = hidden.numel() * hidden.element_size() + HEADED
        if some and held + size > room:
            yield some
            some, held = {}, 0
        some[key] = hidden
        held += size
    if some:
        yield some


def _unmapped(path: Path, error: RuntimeError) -> Exception:
    """What a mapping that failed means; torch says it in words only."""
    if not os.path.lexists(path):
        return FileNotFoundError(os.fspath(path))
    return Unreadable("unreadable", str(error)[:200])


@contextmanager
def _refusing(torn: type[Exception]) -> Iterator[None]:
    try:
        yield
    except torn as error:
        raise Damaged("torn", str(error)[:200]) from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Damaged("foreign", f"{type(error).__name__} {error}"[:200]) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable("unreadable", error.strerror or str(error)) from None


def _part(name: str, size: int, file: Any) -> Part:
    """KeyError, TypeError or ValueError for the header of another file."""
    header = json.loads(file.metadata()[HEADER])
    part = Part(name, size, _writable(header["facts"]), header["model"], header["sums"])
    if header["format"] != FORMAT or model_of(part.facts) != part.model or sorted(file.keys()) != sorted(part.sums):
        raise ValueError("of another format")
    for key, total in part.sums.items():
        entry = file.get_slice(key)
        if not KEY.fullmatch(key) or entry.get_dtype() not in DTYPES.values() or len(entry.get_shape()) != 2:
            raise ValueError(f"{key[:12]} is no entry")
        if type(total) is not int:
            raise TypeError(f"{key[:12]} has no sum")
    return part


def _writable(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts as they are; ValueError where they could not be printed as JSON in UTF-8."""
    json.dumps(facts, ensure_ascii=False, allow_nan=False).encode()
    return facts


def _sum(key: str, model: str, hidden: torch.Tensor) -> int:
    """CRC-32 of an entry with all that its bytes are read by."""
    told = f"{key} {model} {DTYPES[hidden.dtype]} {list(hidden.shape)}".encode()
    return zlib.crc32(hidden.reshape(-1).view(torch.uint8).numpy(), zlib.crc32(told))
