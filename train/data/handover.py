"""Tensors from workers to the training process through slots of shared memory that are used again and again.

A fresh piece of shared memory for each batch costs the worker more than copying does: every page of it is a
fault. Slots are mapped before the workers are forked, so their pages stay; a pipe carries only where the
tensors lie. A slot is free again when the last tensor over it is gone, however many views the caller made:
tensors hold on to the array they were made over, and its end is what frees the slot. Where no slot is free,
or a batch is larger than one, torch's own way through /dev/shm serves, so slots never hold up a run.
"""

import io
import mmap
import pickle
import resource
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

SLOT_BYTES = 1 << 28
"""Address space of a slot; memory is only taken for what a batch fills."""

MOST_BYTES = 1 << 36
"""Address space of all slots, 256 of them: what is beyond goes torch's way."""

SHARE = 4
"""Where address space is bounded or counted as memory, one part of so many of what is left is taken."""

ALIGNED = 64
"""Tensors begin at multiples of this, as torch's own do."""

STRICT, MEMORY = Path("/proc/sys/vm/overcommit_memory"), Path("/proc/meminfo")

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Parcel:
    """A content whose tensors lie in a slot."""

    slot: int
    head: bytes  # the pickled rest
    places: tuple[tuple[int, int], ...]  # (start, stop) of every tensor's bytes


class Slots:
    """Slots of shared memory, `count` of them or as many as may be had. Make it before the workers are forked; `take`
    and `unpack` belong to the parent."""

    def __init__(self, count: int, size: int = SLOT_BYTES) -> None:
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self._maps: list[mmap.mmap] = []
        with suppress(OSError):  # no more is granted
            for _ in range(min(count, address_space() // size)):
                self._maps.append(mmap.mmap(-1, size, flags=flags))
        self._free = deque(range(len(self._maps)))

    def __len__(self) -> int:
        return len(self._maps)

    def take(self) -> int:
        """A free slot, the one used last, whose pages are there; -1 when there is none."""
        try:
            return self._free.pop()
        except IndexError:
            return -1

    def pack(self, content: Any, slot: int) -> Any:
        """In the worker: the content as a Parcel; as it is where it does not fit."""
        head = io.BytesIO()
        pickler = _Pickler(head)
        pickler.dump(content)
        places, end = [], 0
        for buffer in pickler.buffers:
            start = -(-end // ALIGNED) * ALIGNED
            end = start + buffer.nbytes
            places.append((start, end))
        if end > len(self._maps[slot]):
            return content
        memory = self._over(slot)
        for (start, stop), buffer in zip(places, pickler.buffers, strict=True):
            memory[start:stop] = buffer
        return Parcel(slot, head.getvalue(), tuple(places))

    def unpack(self, parcel: Parcel) -> Any:
        """In the parent: the content, its tensors over the slot, which is free again when they are gone."""
        memory = self._over(parcel.slot)
        weakref.finalize(memory, self._free.append, parcel.slot).atexit = False
        return pickle.loads(parcel.head, buffers=[memory[start:stop] for start, stop in parcel.places])

    def give_back(self, slot: int) -> None:
        """In the parent: a slot that was taken and not used."""
        self._free.append(slot)

    def _over(self, slot: int) -> Bytes:
        return np.frombuffer(self._maps[slot], np.uint8)


def address_space() -> int:
    """Bytes that all slots together may span: little where a limit (ulimit -v) or strict overcommit counts what is mapped
    as if it were used."""
    most, (limit, _) = MOST_BYTES, resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        most = min(most, limit // SHARE)
    with suppress(OSError, KeyError, ValueError):  # not on Linux
        if STRICT.read_text().strip() == "2":
            known = dict(line.split(":") for line in MEMORY.read_text().splitlines())
            limit, used = (int(known[name].split()[0]) << 10 for name in ("CommitLimit", "Committed_AS"))
            most = min(most, max(0, limit - used) // SHARE)
    return most


class _Pickler(pickle.Pickler):
    """Leaves the bytes of tensors in `buffers`."""

    def __init__(self, head: io.BytesIO) -> None:
        self.buffers: list[Bytes] = []
        super().__init__(head, protocol=5, buffer_callback=self._out_of_band)

    def _out_of_band(self, buffer: pickle.PickleBuffer) -> None:
        self.buffers.append(np.frombuffer(buffer.raw(), np.uint8))

    def reducer_override(self, thing: Any) -> Any:
        import torch

        if not isinstance(thing, torch.Tensor) or thing.device.type != "cpu" or thing.layout != torch.strided:
            return NotImplemented
        order = sorted(range(thing.ndim), key=lambda axis: (-thing.stride(axis), axis))  # keeps channels last
        plain = thing.detach().permute(order).contiguous()
        data = pickle.PickleBuffer(plain.reshape(-1).view(torch.uint8).numpy())
        back = tuple(sorted(range(thing.ndim), key=order.__getitem__))
        return _tensor, (data, thing.dtype, tuple(plain.shape), back)


def _tensor(data: Bytes, dtype: "torch.dtype", shape: tuple[int, ...], back: tuple[int, ...]) -> "torch.Tensor":
    import torch

    flat = torch.frombuffer(data, dtype=dtype) if len(data) else torch.empty(0, dtype=dtype)
    return flat.reshape(shape).permute(back)
