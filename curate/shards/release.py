"""`release.json`: what a published version consists of, to the byte.

It is read from strangers, so nothing in it is trusted: sizes are bounded, names cannot leave their folder.
"""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from curate.errors import ConfigError, IntegrityError
from curate.settings import Settings
from curate.storage import Folder, hash_json

RELEASE = "release.json"
FORMAT: Literal["shotcraft-release/1"] = "shotcraft-release/1"
MAX_RELEASE_BYTES = 256_000_000
MAX_FILE_BYTES = 1 << 40
"""A published file larger than this is refused as absurd: shards are bounded far below."""

_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9][A-Za-z0-9._-]{0,199}){0,3}")

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0, le=MAX_FILE_BYTES, strict=True)]


class Entry(Settings):
    """A published file."""

    size: Size
    sha256: Digest


class Release(Settings):
    """All files of a version but this one, and a digest over the lot."""

    format: Literal["shotcraft-release/1"] = FORMAT
    version: str
    files: dict[str, Entry]
    digest: Digest = "0" * 64

    @classmethod
    def of(cls, version: str, files: dict[str, Entry]) -> "Release":
        """A release whose digest fits."""
        release = cls(version=version, files=dict(sorted(files.items())))
        return release.model_copy(update={"digest": release.computed})

    @property
    def computed(self) -> str:
        """The digest that the other fields ask for."""
        return hash_json(self.model_dump(mode="json", exclude={"digest"}))

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())

    def encode(self) -> bytes:
        """The content of release.json."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def load(cls, folder: Folder) -> "Release":
        """The release in a version's folder; IntegrityError when it is damaged or names what no release may."""
        size = folder.size(RELEASE)
        if size > MAX_RELEASE_BYTES:
            raise IntegrityError(f"{RELEASE} has {size:,} bytes, which no release has")
        return cls.parse(folder.read(RELEASE))

    @classmethod
    def parse(cls, data: bytes) -> "Release":
        """A release from its bytes; IntegrityError when it is damaged or names what no release may."""
        try:
            release = cls.model_validate(_strict_json(data))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise IntegrityError(f"{RELEASE} is refused: {'.'.join(map(str, fault['loc']))[:200]}: {fault['msg']}") from None
        except (ValueError, RecursionError):
            raise IntegrityError(f"{RELEASE} is refused: it is not JSON") from None
        release.check()
        return release

    def check(self) -> None:
        """IntegrityError for a name that could leave its folder or meet another, or a digest that does not fit."""
        if not is_version(self.version):
            raise IntegrityError(f"{RELEASE} is refused: {self.version[:40]!r} is no version")
        for name in self.files:
            check_name(name, RELEASE)
        if len({name.lower() for name in self.files}) < len(self.files) or RELEASE in self.files:
            raise IntegrityError(f"{RELEASE} is refused: two of its files would have the same name")
        if "manifest.json" not in self.files:
            raise IntegrityError(f"{RELEASE} is refused: it lists no manifest.json")
        if self.digest != self.computed:
            raise IntegrityError(f"{RELEASE} is damaged: its digest does not fit its content")


def check_name(name: str, where: str) -> None:
    """IntegrityError for a relative file name that a version never holds, such as one that leaves its folder."""
    if not _NAME.fullmatch(name):
        raise IntegrityError(f"{where} is refused: {name[:100]!r} is no name for a published file")


def _strict_json(data: bytes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice")
        return found

    return json.loads(data, object_pairs_hook=once)


def parse_version(version: str) -> tuple[int, int, int]:
    """(1, 2, 3) of "1.2.3"; ConfigError for anything else."""
    found = _VERSION.fullmatch(version)
    if not found:
        raise ConfigError(f"--version wants MAJOR.MINOR.PATCH, as in 1.0.0, not {version[:40]!r}")
    return int(found[1]), int(found[2]), int(found[3])


def is_version(text: str) -> bool:
    """Whether a folder name is a version's."""
    return bool(_VERSION.fullmatch(text))
