"""Small copies of the run's pictures, each made once however many episodes show it."""

import base64
import io
from dataclasses import dataclass, field
from typing import Protocol

from curate.errors import InputError, IntegrityError
from curate.images import BadImage, open_rgb
from curate.report.settings import ReportSettings

MISSING = -1
"""Stands for a picture that is not stored or cannot be decoded."""


class Pictures(Protocol):
    """Where pictures come from, such as curate.storage.ImageStore."""

    def get(self, ref: str) -> bytes:
        """A picture's bytes; InputError or IntegrityError when it is not there, or not what it should be."""


@dataclass
class Album:
    """Base64 WebP thumbnails by number, in the order in which they were first asked for."""

    images: Pictures
    settings: ReportSettings
    thumbnails: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    _numbers: dict[str, int] = field(default_factory=dict)

    def number_of(self, ref: str) -> int:
        """The number of an image's thumbnail, MISSING when there is none to be had."""
        if ref not in self._numbers:
            self._numbers[ref] = self._add(ref)
        return self._numbers[ref]

    def _add(self, ref: str) -> int:
        try:
            self.thumbnails.append(self._shrunk(self.images.get(ref)))
        except (InputError, IntegrityError, BadImage, OSError, ValueError):  # a ref may be anything in a damaged run
            self.missing.add(ref)
            return MISSING
        return len(self.thumbnails) - 1

    def _shrunk(self, data: bytes) -> str:
        from PIL import Image

        side = self.settings.thumbnail
        picture = open_rgb(data, at_least=(side, side))
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=self.settings.quality, method=4)
        return base64.b64encode(out.getvalue()).decode("ascii")

    def drop_after(self, count: int) -> None:
        """Forgets all thumbnails but the first `count`."""
        del self.thumbnails[count:]
        self._numbers = {ref: number for ref, number in self._numbers.items() if number < count}
