"""One decoding of an image that tells whether it is usable and how it looks; and pixels for encoders.

Image bytes are hostile until decoded: the header is read first, a size over the pixel limit is refused
before a pixel is unpacked, and whatever the decoder complains about is a reason, not a crash.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 64_000_000
"""Default pixel limit: 8,000 x 8,000, about 256 MB decoded as RGBA."""

EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
"""Formats that are decoded, and the extension their bytes are stored under. MPO is what cameras write: a JPEG
followed by other views of the same scene, which every viewer ignores."""


class BadImage(Exception):
    """Bytes that are not a usable image; `reason` is a short stable word, the message has the detail."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What one decoding tells. Width and height are as displayed, after EXIF rotation."""

    extension: str
    width: int
    height: int
    mode: str  # Pillow mode as stored: RGB, RGBA, P, L, CMYK, ...
    phash: str  # 64-bit DCT perceptual hash, 16 hex digits


def verify(data: bytes, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """Decodes once and reports; raises BadImage with one of the reasons
    empty, unknown_format, too_many_pixels, animated, truncated, corrupt."""
    with decoded(data, max_pixels) as picture:
        mode, extension = picture.mode, EXTENSIONS[str(picture.format)]
        width, height = picture.size
        if _orientation(picture) in _SIDEWAYS:
            width, height = height, width
        return ImageFacts(extension, width, height, mode, perceptual_hash(_shown(_reduced(picture))))


@contextmanager
def decoded(data: bytes, max_pixels: int = MAX_PIXELS, at_least: tuple[int, int] | None = None) -> Iterator["Picture"]:
    """An image with its pixels loaded, or BadImage. `at_least` lets a JPEG be decoded at 1/2, 1/4 or 1/8 of
    its size as long as neither side falls below it, which is several times faster."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise BadImage("empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(io.BytesIO(data), formats=[name for name in EXTENSIONS if name != "MPO"])
        except Image.DecompressionBombError as error:
            raise BadImage("too_many_pixels", str(error)) from None
        except UnidentifiedImageError:
            raise BadImage("unknown_format") from None
        except Exception as error:  # a decoder may raise anything on hostile bytes
            raise BadImage("corrupt", f"{type(error).__name__} {error}") from None
        with picture:
            try:
                _check_header(picture, max_pixels)
                if at_least:
                    picture.draft(None, at_least)
            except BadImage:
                raise
            except Exception as error:  # looking for a second frame may raise anything as well
                raise BadImage("corrupt", f"{type(error).__name__} {error}") from None
            _load(picture)
            yield picture


def _check_header(picture: "Picture", max_pixels: int) -> None:
    if picture.width * picture.height > max_pixels:
        raise BadImage("too_many_pixels", f"{picture.width} x {picture.height}")
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        raise BadImage("animated", f"{getattr(picture, 'n_frames', '?')} frames")  # also TIFFs of several pages


def _load(picture: "Picture") -> None:
    try:
        picture.load()
    except Exception as error:
        says = str(error).lower()
        early = isinstance(error, EOFError) or any(word in says for word in ("truncated", "broken data stream", "end of file"))
        reason = "truncated" if early else "corrupt"
        raise BadImage(reason, f"{type(error).__name__} {error}") from None


def to_rgb(picture: "Picture") -> "Picture":
    """As a person sees it on a white page: EXIF rotation applied, alpha composited on white, RGB."""
    from PIL import Image

    picture = _upright(picture)
    if picture.mode == "RGB":
        return picture
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        over = picture.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(white, over).convert("RGB")
    if picture.mode.startswith("I;16") or picture.mode == "I":
        return picture.point(lambda value: value / 257).convert("L").convert("RGB")
    return picture.convert("RGB")


def _shown(picture: "Picture") -> "Picture":
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's advice on palettes is what to_rgb follows anyway
            return to_rgb(picture)
    except Exception as error:  # a palette or colour space that contradicts the pixels
        raise BadImage("corrupt", f"{type(error).__name__} {error}") from None


HASHED_SIDE = 128
"""Pixels of the shorter side from which the hash is taken: it looks at 32 x 32, so more only costs time."""
_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def _orientation(picture: "Picture") -> int:
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception:  # the EXIF parser may raise anything on hostile bytes
        return 1


def _reduced(picture: "Picture") -> "Picture":
    """A smaller copy for the hash, by averaging whole pixels; the picture itself where that could change its looks."""
    factor = min(picture.size) // HASHED_SIDE
    plain = picture.mode in ("RGB", "RGBA", "L") and "transparency" not in picture.info and _orientation(picture) == 1
    return picture.reduce(factor) if factor > 1 and plain else picture


def _upright(picture: "Picture") -> "Picture":
    """EXIF rotation applied; a damaged EXIF block says nothing about the pixels and is passed over."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # the EXIF parser may raise anything on hostile bytes
        return picture


def open_rgb(data: bytes, max_pixels: int = MAX_PIXELS, at_least: tuple[int, int] | None = None) -> "Picture":
    """Stored bytes as an RGB picture; BadImage when they are not one. `at_least`: see `decoded`."""
    with decoded(data, max_pixels, at_least) as picture:
        rgb = _shown(picture)
        return rgb.copy() if rgb is picture else rgb


def perceptual_hash(picture: "Picture") -> str:
    """64-bit DCT hash (imagehash.phash) as 16 hex digits; near-duplicates differ in few bits."""
    import imagehash

    return str(imagehash.phash(picture))
