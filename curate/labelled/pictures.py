"""The pictures below a folder, read one at a time; drawings are rendered, what is no picture has a reason."""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from curate.demonstrations.found import Unusable
from curate.demonstrations.reading import PICTURES, VECTOR, Root
from curate.drawings import Renderer
from curate.errors import InputError
from curate.images import BadImage, verify
from curate.schema import Image

MAX_BYTES = 64_000_000
DRAWN_SIDE = 224
"""Longer side of a rendered drawing in pixels, as importers have it."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A picture that cannot be used; `reason` is a short stable word."""

    name: str
    reason: str
    detail: str


class Pictures:
    """A folder's pictures, at any depth, or a single one. Nothing outside the folder is opened."""

    def __init__(self, place: "str | os.PathLike[str]", names: tuple[str, ...] | None = None) -> None:
        """`names` limits it to these, relative to the folder. InputError when there is no such folder or file."""
        path = Path(place)
        if not path.exists():
            raise InputError(f"{path} does not exist; give a folder of pictures, or a picture")
        self._root = Root(path if path.is_dir() else path.parent)
        self._names = names if path.is_dir() or names else (path.name,)
        self._drawing = Renderer(DRAWN_SIDE)

    @cached_property
    def names(self) -> list[str]:
        """Paths relative to the folder, sorted."""
        return self._root.files(PICTURES) if self._names is None else list(self._names)

    def digest(self, name: str) -> str:
        """SHA-256 of the file's bytes, "" when it cannot be read."""
        try:
            return hashlib.sha256(self._root.read(name, MAX_BYTES)).hexdigest()
        except Unusable:
            return ""

    def read(self, name: str) -> tuple[Image, bytes]:
        """A picture's facts and its bytes, a drawing's as PNG. BadImage when it is not usable."""
        if name != name.encode("utf-8", "replace").decode():
            raise BadImage("bad_name", "the file's name is not UTF-8")
        try:
            data = self._root.read(name, MAX_BYTES)
        except Unusable as fault:
            raise BadImage(fault.reason, fault.detail) from None
        if name.lower().endswith(VECTOR):
            data = self._drawing.render(data)
        facts = verify(data)
        ref = f"{hashlib.sha256(data).hexdigest()}.{facts.extension}"
        return Image(ref, facts.width, facts.height, facts.phash), data

    @staticmethod
    def rejected(name: str, fault: BadImage) -> Rejected:
        """What is written down of a picture that `read` refused."""
        told = name.encode("utf-8", "replace").decode()
        return Rejected(told, fault.reason, fault.detail.encode("utf-8", "replace").decode()[:300])
