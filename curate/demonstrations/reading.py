"""Reading a source that may be hostile: files only below its root, text only as text, names only as names."""

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from curate.demonstrations.found import Unusable
from curate.sources.archives import safe_name

RASTER = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
VECTOR = (".svg",)
PICTURES = RASTER + VECTOR


class Root:
    """A folder, and nothing outside it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _real(self) -> str:
        return os.path.realpath(self.path).rstrip(os.sep)

    def place(self, name: str) -> str:
        """Where a relative name leads; Unusable("outside_root") when it leads out, also through links."""
        try:
            clean = safe_name(name)
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
            raise Unusable("bad_encoding", "a file's name") from None
        if clean is None:
            raise Unusable("outside_root", name[:200])
        try:
            real = os.path.realpath(os.path.join(self._real, clean))
        except (OSError, ValueError):  # too long, a zero byte
            raise Unusable("missing_file", name[:200]) from None
        if not real.startswith(f"{self._real}{os.sep}"):
            raise Unusable("outside_root", name[:200])
        return real

    def read(self, name: str, most: int) -> bytes:
        """A regular file of at most `most` bytes; Unusable otherwise."""
        place = self.place(name)
        try:
            facts = os.stat(place)
            if not stat.S_ISREG(facts.st_mode):  # a pipe would never end
                raise Unusable("missing_file", f"{name} is no regular file")
            if facts.st_size > most:
                raise Unusable("file_too_large", f"{facts.st_size} bytes")
            with open(place, "rb") as file:
                return file.read()
        except FileNotFoundError:
            raise Unusable("missing_file", name[:200]) from None
        except OSError as error:
            raise Unusable("unreadable_file", f"{name[:200]}: {error.strerror}") from None

    def files(self, suffixes: Iterable[str]) -> list[str]:
        """Relative names of all files with one of the suffixes, sorted; hidden ones and linked folders left out."""
        wanted = tuple(suffixes)
        return sorted(name for name in self._walk() if name.lower().endswith(wanted))

    def _walk(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.path):
            folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
            for name in files:
                if not name.startswith("."):
                    yield Path(folder, name).relative_to(self.path).as_posix()


def clean(text: object, most: int, what: str = "text") -> str:
    """Text in one line's spacing per line, without control characters; Unusable when it is no text or too long."""
    if isinstance(text, bool | int | float):
        text = str(text)
    if not isinstance(text, str):
        raise Unusable("wrong_type", f"{what} is a {type(text).__name__}")
    if len(text) > most:
        raise Unusable("text_too_long", f"{what} has {len(text)} characters")
    if re.search("[\ud800-\udfff]", text):
        raise Unusable("bad_encoding", what)
    lines = (re.sub(r"[\s\x00-\x1f\x7f]+", " ", line).strip() for line in text.splitlines())
    return "\n".join(lines).strip()


def decode(data: bytes, encoding: str, what: str) -> str:
    """Bytes as text, byte-order marks honoured; Unusable("bad_encoding") otherwise."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except (UnicodeDecodeError, LookupError):
        raise Unusable("bad_encoding", f"{what} is not {encoding}") from None


def words_of(name: str) -> str:
    """A folder's or file's name as words: `sea_lion-2` is `sea lion 2`."""
    return " ".join(re.sub(r"[_\-+.]+", " ", name).split())


def folder_concepts(record: str, skip: Collection[str] = ()) -> tuple[str, ...]:
    """The folders above a record as words, the innermost first, without those to skip."""
    above = map(words_of, reversed(PurePosixPath(record).parts[:-1]))
    return tuple(words for words in above if words and words not in skip)


def numbered(names: Iterable[str]) -> Iterator[str]:
    """Names made unique: the second `x` is `x#2`."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"
