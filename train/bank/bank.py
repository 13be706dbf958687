"""The store of what was aggregated: hidden states [n, D] by key, on a disk, bounded, for many processes at once."""

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from curate.storage import Folder
from train.bank.faults import Damaged, Fault, Unreadable, told
from train.bank.index import Index
from train.bank.merging import mergeable
from train.bank.parts import Entries, OpenPart, encode, pieces, plain
from train.bank.place import Place
from train.bank.recency import EVERY, Kept, Uses, least_used, too_much

PART = 32 << 20
"""Bytes of a part at most, where the bound allows it; a single entry may be larger."""

PIECES = 16
"""A part takes at most this share of the bound: what is evicted at a time."""

OPEN = 64
"""Parts that are kept open."""


class Bank:
    """A bank as one process sees it. One thread at a time uses an object; each thread or process opens its own."""

    def __init__(
        self,
        place: "str | os.PathLike[str]",
        max_bytes: int | None = None,
        touch_every: float = EVERY,
        create: bool = True,
    ) -> None:
        """The bank in a folder, made by the first `put` where `create`.

        `max_bytes` bounds the files of its parts, for all who write from the next `put` on; None for the bound that it
        has. `touch_every`: see recency.py. ConfigError, InputError or IntegrityError when the folder holds no bank.
        """
        self.place = Place(place, create)
        self._max_bytes, self._uses = max_bytes, Uses(self.place.parts, touch_every)
        self._index = Index(self.place.parts, self._bad)
        self._open: OrderedDict[str, OpenPart] = OrderedDict()
        self.faults: list[Fault] = []
        """Parts that this object found damaged."""

        self.refused = 0  # entries larger than the bank
        self._index.sync()

    @property
    def max_bytes(self) -> int:
        """The bound as it stands in the folder, or as it will from the next `put` on."""
        return self.place.bound() if self._max_bytes is None else self._max_bytes

    def index(self) -> Index:
        """What the bank holds just now."""
        self._index.sync()
        for name in self._open.keys() - self._index.parts.keys():
            del self._open[name]  # a mapping keeps the room of a file that is gone
        return self._index

    def get(self, keys: Iterable[str]) -> dict[str, torch.Tensor]:
        """The entries that are there, each on the CPU in memory of its own; bit for bit what was put."""
        wanted = dict.fromkeys(keys)
        if any(key not in self._index for key in wanted):
            self.index()
        found = {key: self._read(key) for key in wanted}
        return {key: hidden for key, hidden in found.items() if hidden is not None}

    def put(self, entries: Entries, facts: Mapping[str, Any]) -> None:
        """Stores entries of one aggregator, whose facts are JSON. They are on the disk when it returns.

        Keys that are there already are left alone. Whatever was not used for longest goes when the room does not suffice.
        ValueError for what is no entry, StorageError for a full disk.
        """
        checked = {key: plain(key, hidden) for key, hidden in entries.items()}
        with self.place.alone():
            self._begin()
            new = {key: hidden for key, hidden in checked.items() if key not in self._index}
            for some in pieces(new, self._part_bytes):
                self._write(some, facts)
            self._merge()

    def prune(self, max_bytes: int, dry_run: bool = False) -> list[Kept]:
        """Evicts what was not used for longest until parts take at most `max_bytes`; the parts that went, or would go."""
        if dry_run:
            return too_much(least_used(self.place.parts), max_bytes)
        with self.place.alone():
            self._begin()
            return self._make_room(0, max_bytes)

    def _begin(self) -> None:
        """With the lock held."""
        self.place.clean()
        self.place.set_bound(self._max_bytes)
        self._max_bytes = None  # from now on what stands there, which another process may change
        self.index()

    @property
    def _part_bytes(self) -> int:
        return min(PART, self.max_bytes // PIECES)

    def _write(self, entries: Entries, facts: Mapping[str, Any]) -> None:
        part, data = encode(entries, facts)
        if len(data) > self.max_bytes:
            self.refused += len(entries)
            return
        self._make_room(len(data), self.max_bytes)
        Folder.of(self.place.parts).write(part.name, data)
        self._index.add(part)

    def _make_room(self, wanted: int, bound: int) -> list[Kept]:
        self._uses.flush()
        gone = too_much(least_used(self.place.parts), bound - wanted)
        for kept in gone:
            self._remove(kept.name)
        return gone

    def _remove(self, name: str) -> None:
        (self.place.parts / name).unlink(missing_ok=True)
        self._open.pop(name, None)
        self._index.forget(name)

    def _merge(self) -> None:
        """Many small parts of one aggregator become one, with the lock held."""
        room = self._part_bytes
        found = mergeable(self._index, least_used(self.place.parts), room)
        if not found:
            return
        self._make_room(sum(one.size for one in found), self.max_bytes)  # for a while both are there
        olds = [one for one in found if one.name in self._index.parts]
        facts = self._index.parts[olds[0].name].facts if olds else {}
        entries = {key: hidden for old in olds for key, hidden in self._whole(old.name).items()}
        new = self._written(entries, facts, max(old.used for old in olds)) if entries else ""
        for old in olds:
            if old.name != new:
                self._remove(old.name)

    def _written(self, entries: Entries, facts: Mapping[str, Any], used: int) -> str:
        part, data = encode(entries, facts)
        Folder.of(self.place.parts).write(part.name, data)
        os.utime(self.place.parts / part.name, ns=(used, used))
        self._index.add(part)
        return part.name

    def _whole(self, name: str) -> dict[str, torch.Tensor]:
        """A part's entries, none when it is damaged."""
        try:
            part = self._opened(name)
            return {key: part.read(key) for key in part.part.sums}
        except FileNotFoundError:
            return {}
        except Damaged as fault:
            self._index.refuse(name, fault)
            return {}

    def _read(self, key: str) -> torch.Tensor | None:
        while (name := self._index.place(key)) is not None:
            try:
                hidden = self._opened(name).read(key)
            except FileNotFoundError:  # evicted, or merged into another one
                self.index()
            except Damaged as fault:
                self._index.refuse(name, fault)
            else:
                self._uses.note(name)
                return hidden
        return None

    def _opened(self, name: str) -> OpenPart:
        if name not in self._open:
            self._open[name] = OpenPart(self.place.parts / name)
        self._open.move_to_end(name)
        while len(self._open) > OPEN:
            self._open.popitem(last=False)
        return self._open[name]

    def _bad(self, name: str, fault: Damaged) -> None:
        """Counts a damaged part and sets it aside; one that may be whole stays where it is."""
        self._open.pop(name, None)
        self.faults.append(Fault(told(name), fault.reason, told(fault.detail)))
        if not isinstance(fault, Unreadable):
            self.place.set_aside(name)
