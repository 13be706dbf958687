"""Filters that look at one picture."""

import re

from pydantic import Field

from curate.documents.filters.base import FILTERS, Drop, ImageFilter
from curate.schema import Image
from curate.settings import Settings


@FILTERS.register("image_format")
class ImageFormat(ImageFilter):
    """Keeps pictures of the named formats, told from their bytes."""

    class Thresholds(Settings):
        """Extensions as curate.images gives them."""

        allow: list[str] = Field(default_factory=lambda: ["jpg", "png", "webp"])

    def judge(self, image: Image, href: str) -> Drop | None:
        """Drops other formats."""
        extension = image.ref.rpartition(".")[2]
        return None if extension in self.at.allow else Drop(extension)


@FILTERS.register("image_side")
class ImageSide(ImageFilter):
    """Keeps pictures whose shorter and longer sides lie within bounds, in pixels as displayed."""

    class Thresholds(Settings):
        """Pixels."""

        min: int = Field(150, ge=0)
        max: int = Field(20_000, ge=1)

    def judge(self, image: Image, href: str) -> Drop | None:
        """Drops icons and giants."""
        sides = sorted((image.width, image.height))
        fits = self.at.min <= sides[0] and sides[1] <= self.at.max
        return None if fits else Drop(f"{image.width} x {image.height}")


@FILTERS.register("image_aspect")
class ImageAspect(ImageFilter):
    """Keeps pictures whose longer side is at most `max` times the shorter."""

    class Thresholds(Settings):
        """A ratio."""

        max: float = Field(2.0, ge=1.0)

    def judge(self, image: Image, href: str) -> Drop | None:
        """Drops banners and rules."""
        shorter, longer = sorted((image.width, image.height))
        return None if longer <= self.at.max * shorter else Drop(f"{image.width} x {image.height}")


@FILTERS.register("image_address")
class ImageAddress(ImageFilter):
    """Drops pictures whose address says that they are part of the site and not of the text."""

    class Thresholds(Settings):
        """Words to look for in the last step of the address."""

        words: list[str] = Field(default_factory=lambda: ["logo", "button", "icon", "plugin", "widget"])

    def judge(self, image: Image, href: str) -> Drop | None:
        """Looks at the file's name only, so that a folder called icons/ does not count."""
        stem = "" if href.startswith("data:") else re.split(r"[?#]", href, maxsplit=1)[0].rpartition("/")[2].lower()
        found = next((word for word in self.at.words if word in stem), None)
        return Drop(found) if found else None
