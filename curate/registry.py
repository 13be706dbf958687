"""Names to things: every filter, selector, encoder, format and importer is one file and one registration."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from curate.errors import ConfigError

T = TypeVar("T")


def nearest(name: str, known: Iterable[str], likeness: float = 0.5) -> str:
    """' (did you mean X?)' for the known name closest to `name`, or '' when none has that likeness (0..1)."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f" (did you mean {close[0]!r}?)" if close else ""


class Registry(Generic[T]):
    """A case-sensitive table of named things of one kind, in order of registration."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files the decorated thing under `name`; a name is taken once."""

        def file_under(thing: T) -> T:
            assert name not in self._things, f"{self.kind} {name!r} is registered twice"
            self._things[name] = thing
            return thing

        return file_under

    def get(self, name: str) -> T:
        """The thing called `name`; ConfigError naming the nearest known one otherwise."""
        if name not in self._things:
            known = ", ".join(self._things)
            raise ConfigError(f"no {self.kind} is called {name!r}{nearest(name, self._things)}; known: {known}")
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __contains__(self, name: object) -> bool:
        return name in self._things
