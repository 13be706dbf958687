"""A bank's folder.

BANK/bank.json    the bound; what makes the folder a bank
BANK/parts/       what is stored (see parts.py)
BANK/damaged/     files of parts/ that could not be read as parts, for a person to look at
BANK/.lock        held by whoever writes; readers need no lock, since parts never change and appear whole
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from curate.errors import ConfigError, InputError, IntegrityError, StorageError
from curate.storage import TEMPORARY, Folder, clear_errors
from train.bank.faults import told

META, PARTS, DAMAGED, LOCK = "bank.json", "parts", "damaged", ".lock"
FORMAT = 1
BOUND = 8 << 30
"""Bytes of a bank that nobody gave a bound."""


class Place:
    """The folder of a bank."""

    def __init__(self, place: "str | os.PathLike[str]", create: bool = True) -> None:
        """ConfigError for a URL, InputError for a folder of something else, and for none where `create` is off."""
        folder = Folder.of(place)
        if not folder.is_local:
            raise ConfigError(f"{folder.uri} is a URL; a bank is memory-mapped and lies on a disk")
        self.root = folder.local()
        self.parts, self.damaged = self.root / PARTS, self.root / DAMAGED
        with clear_errors(str(self.root)):
            self._check()
        if not create and not self.root.is_dir():
            raise InputError(f"{self.root} does not exist; curate bank build makes a bank")
        if not create and not self._is_bank():
            raise InputError(f"{self.root} holds no bank; curate bank build makes one")

    def _is_bank(self) -> bool:
        return (self.root / META).is_file() or self.parts.is_dir()

    def _check(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"{self.root} is a file; give a bank's folder")
        names = sorted(os.listdir(self.root)) if self.root.is_dir() else []
        others = [name for name in names if name != LOCK and not name.startswith(TEMPORARY)]
        if others and not self._is_bank():
            raise InputError(f"{self.root} holds no bank ({told(others[0])} lies there); give another folder")
        self.bound()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One writer at a time, others wait. The lock ends with the process."""
        import fcntl

        try:
            with clear_errors(str(self.root)):
                self.parts.mkdir(parents=True, exist_ok=True)
                lock = (self.root / LOCK).open("w")
        except OSError as error:
            raise StorageError(f"cannot write the bank {self.root} ({error.strerror}); give another folder") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def bound(self) -> int:
        """Bytes that the parts may take."""
        try:
            meta = json.loads((self.root / META).read_bytes())
            bound = meta["max_bytes"]
            if meta["format"] != FORMAT or type(bound) is not int or bound < 0:
                raise ValueError("of another format")
        except (FileNotFoundError, NotADirectoryError):
            return BOUND
        except (ValueError, KeyError, TypeError, RecursionError):
            remedy = "remove it, the bank's entries stand in its parts"
            raise IntegrityError(f"{self.root / META} is not what curate writes; {remedy}") from None
        except OSError as error:
            raise StorageError(f"cannot read {self.root / META} ({error.strerror})") from None
        return bound

    def set_bound(self, bound: int | None) -> None:
        """Writes the bound, None for the one that is there. While nobody else writes."""
        if bound is not None or not (self.root / META).is_file():
            text = json.dumps({"format": FORMAT, "max_bytes": self.bound() if bound is None else bound}) + "\n"
            Folder.of(self.root).write(META, text.encode())

    def clean(self) -> None:
        """Removes what killed writers left half-written. While nobody else writes."""
        for folder in (self.root, self.parts):
            for left in folder.glob(f"{TEMPORARY}*"):
                left.unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """Moves a file away from the parts. Nothing happens when it is gone, or where we may only read."""
        with suppress(OSError):
            self.damaged.mkdir(exist_ok=True)
            (self.parts / name).replace(self.damaged / name)

    def aside(self) -> list[str]:
        """Names of what was set aside."""
        return sorted(map(told, os.listdir(self.damaged))) if self.damaged.is_dir() else []
