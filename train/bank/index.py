"""Where entries lie. Kept in memory only and made from the parts' headers, so that nothing beside the parts can be wrong."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from curate.storage import TEMPORARY, clear_errors
from train.bank.faults import Damaged
from train.bank.parts import OpenPart, Part

Bad = Callable[[str, Damaged], None]


class Index:
    """Entries by key, for one process. `sync` takes in what others did since."""

    def __init__(self, parts: Path, bad: Bad) -> None:
        """`bad` hears of every file among the parts that is none; it may move it away."""
        self._folder, self._bad = parts, bad
        self._refused: set[str] = set()
        self._places: dict[str, str] = {}
        self.parts: dict[str, Part] = {}

    def __len__(self) -> int:
        """Distinct entries."""
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def place(self, key: str) -> str | None:
        """Name of a part that has it."""
        return self._places.get(key)

    def sync(self) -> None:
        """Reads the headers of new parts and forgets those that are gone."""
        names: set[str] = set()
        with clear_errors(str(self._folder)), suppress(FileNotFoundError, NotADirectoryError):
            names = {name for name in os.listdir(self._folder) if not name.startswith(TEMPORARY)}
        self._refused &= names
        for name in self.parts.keys() - names:
            self.forget(name)
        for name in sorted(names - self.parts.keys() - self._refused):
            try:
                self.add(OpenPart(self._folder / name).part)
            except FileNotFoundError:
                continue
            except Damaged as fault:
                self.refuse(name, fault)

    def add(self, part: Part) -> None:
        """Takes in a part."""
        self.parts[part.name] = part
        for key in part.sums:
            self._places.setdefault(key, part.name)

    def refuse(self, name: str, fault: Damaged) -> None:
        """Its entries count as missing; if nobody can move it away it is not looked at again."""
        self.forget(name)
        self._bad(name, fault)
        if os.path.lexists(self._folder / name):
            self._refused.add(name)

    def forget(self, name: str) -> None:
        """Drops a part; entries that another one has too are found there."""
        gone = self.parts.pop(name, None)
        if gone is None:
            return
        doubled = sum(len(part.sums) for part in self.parts.values()) + len(gone.sums) > len(self._places)
        for key in gone.sums:
            if self._places[key] == name:
                del self._places[key]
        if doubled:
            self._places = {key: part.name for part in self.parts.values() for key in part.sums}
