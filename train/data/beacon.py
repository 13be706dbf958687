"""Files by which processes that wait for one that works see that it lives, or why it does not go on.

Those that wait may be on other machines and the work may take hours: a collective would run into its timeout, a lock
says nothing over most networks, and a clock is another one elsewhere. So the one that works rewrites a small file every
few seconds, and those that wait see it change, by their own clock. That needs no more of a disk or an object store than
that it shows in the end what was written.

FOLDER/NAME-ATTEMPT   {"beat": 17, "error": ""}

The attempt is a word that both sides know, new for every start, so that what an earlier run left says nothing and two
runs at a time do not disturb each other.
"""

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from curate.errors import InputError, ShotcraftError
from curate.storage import Folder, canonical_json

BEAT = 5.0
"""Seconds between two signs of life."""


@dataclass
class Beacon:
    """In the process that works: shows signs of life while the block runs, and what it ended with if that was an error."""

    folder: Folder
    name: str
    attempt: str
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Beacon":
        self._thread = threading.Thread(target=self._beat, name="beacon", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._done.set()
        self._thread.join()
        with suppress(Exception):  # it must not hide what went wrong, nor spoil what went well
            if error is not None:
                self._write(-1, " ".join(str(error).split()) or type(error).__name__)
                return
            for name in self.folder.names():  # also what failed ones left: nobody needs to wait any more
                if name.startswith(f"{self.name}-"):
                    self.folder.remove(name)

    def _beat(self) -> None:
        number, done = 0, False
        while not done:
            with suppress(Exception):  # a store that stumbles: the next one may come through
                self._write(number)
            number, done = number + 1, self._done.wait(BEAT)

    def _write(self, number: int, error: str = "") -> None:
        self.folder.write(f"{self.name}-{self.attempt}", canonical_json({"beat": number, "error": error}), durable=False)


class Watcher:
    """In a process that waits: looks whether the one that works is still there."""

    def __init__(self, folder: Folder, name: str, attempt: str, patience: float) -> None:
        self._folder, self._name, self._patience = folder, f"{name}-{attempt}", patience
        self._seen: object = None
        self._since = time.monotonic()

    def look(self) -> None:
        """ShotcraftError when the work failed, or when there was no sign of life for `patience` seconds."""
        told = self._read()
        if told and told.get("error"):
            raise ShotcraftError(f"another rank stopped: {told['error']}")
        now = time.monotonic()
        if told and told.get("beat") != self._seen:
            self._seen, self._since = told.get("beat"), now
        if now - self._since > self._patience:
            raise ShotcraftError(
                f"another rank should be at work on {self._folder.uri}, and gave no sign for {self._patience:g} s;"
                " its own error says why, or the folder is not one that all ranks share"
            )

    def _read(self) -> dict[str, Any]:
        with suppress(InputError, OSError, ValueError):  # not there yet, or gone as the work is done
            told = json.loads(self._folder.read(self._name))
            return told if isinstance(told, dict) else {}
        return {}
