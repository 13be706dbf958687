"""Pictures of n objects, composed from real cut-outs: what counting and operator benchmarks show.

A cut-out is a drawing or a photo with a transparent ground, such as an emoji or a piece of clip art. A scene is one
cut-out scattered n times over a plain ground, each copy turned and scaled a little, none touching another.

Ink must not tell the count, nor the size of an object: where the one does not vary with the count, the other tells it. So both
vary widely, as far as the scene has room, and each alone says little (measured in docs/explanation/benchmarks-compared.md).
Cut-outs are only ever made smaller: an enlarged one would be blurred, and blur would tell few from many.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from curate.errors import ConfigError
from curate.images import BadImage, decoded
from curate.schema import Demonstration
from curate.settings import Settings
from curate.storage import ImageStore

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MOST = 12
"""Most objects of a scene; more would be too small to be told apart."""
OPAQUE, CLEAR = 128, 16  # alpha from which a pixel belongs to the object, and below which it does not
CONTRAST = 48.0  # distance in RGB from which a pixel stands out from the ground
GROUNDS = ("#ffffff", "#f4ecd8", "#dce9f2", "#e3efdc", "#f2dfe3", "#d9d9de", "#54606e", "#2e2e33")
TRIES, ROUNDS = 120, 60
DENSEST = 0.45  # share of a window that boxes placed by chance fill without many rounds

Mask = npt.NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom, or left, top, width and height."""


class SceneSettings(Settings):
    """How scenes are composed. Shares are of the scene's area and mean the objects' bounding boxes."""

    side: int = Field(224, ge=64, le=1024)
    """Width and height in pixels."""
    smallest: float = Field(0.007, ge=0.001, le=0.05)
    """Least share of an object, on average over its scene."""
    largest: float = Field(0.25, ge=0.02, le=0.36)
    """Largest share of an object."""
    crowded: float = Field(0.36, ge=0.05, le=0.4)
    """Largest share of all objects of a scene together."""
    spread: float = Field(2.0, ge=1.0, le=4.0)
    """Area of the largest copy in a scene over that of the smallest, at most."""
    turn: float = Field(12.0, ge=0.0, le=45.0)
    """Copies are turned by up to as many degrees either way."""
    gap: int = Field(3, ge=0, le=16)
    """Pixels between bounding boxes, and to the edge."""
    fill: float = Field(0.4, gt=0.0, le=1.0)
    """Least share of its own bounding box that a cut-out fills."""
    aspect: float = Field(2.0, ge=1.0)
    """Longest over shortest side of a cut-out, at most."""
    whole: float = Field(0.95, ge=0.0, le=1.0)
    """Least share of a cut-out that hangs together: what falls into pieces would be counted in different ways."""

    @model_validator(mode="after")
    def _check_room(self) -> "SceneSettings":
        if MOST * self.smallest > self.crowded or self.smallest > self.largest:
            raise ValueError(f"{MOST} objects of the smallest share do not fit into the largest share of all")
        return self

    def cover(self, count: int, dice: np.random.Generator) -> float:
        """Share that `count` objects take together: log-uniform over all that the limits allow at this count."""
        low, high = count * self.smallest, min(self.crowded, count * self.largest)
        return float(np.exp(dice.uniform(np.log(low), np.log(high))))


@dataclass(frozen=True)
class Cutout:
    """An object without its ground."""

    demonstration: Demonstration
    picture: "Picture"  # RGBA, cropped to the object
    grounds: tuple[str, ...]  # on which it can be seen

    @property
    def concept(self) -> str:
        """What it depicts."""
        return (self.demonstration.concepts or (self.demonstration.answer,))[0]


@dataclass(frozen=True)
class Scene:
    """A composed picture and what is known of it."""

    picture: "Picture"  # RGB [side, side]
    boxes: tuple[Box, ...]  # left, top, right, bottom of every copy
    ink: float  # share of the scene that the copies cover


def cut(data: bytes, settings: SceneSettings) -> "Picture | None":
    """The object of a picture with a clear ground, cropped; None when the picture does not serve as one."""
    try:
        with decoded(data) as opened:
            picture = opened.convert("RGBA")
    except (BadImage, ValueError, OSError):
        return None
    alpha = np.asarray(picture)[..., 3]
    if max(alpha[0, 0], alpha[0, -1], alpha[-1, 0], alpha[-1, -1]) > CLEAR:
        return None
    box = picture.getchannel("A").point(lambda value: 255 if value >= OPAQUE else 0).getbbox()
    if box is None:
        return None
    cropped = picture.crop(box)
    return cropped if _serves(cropped, settings) else None


def _serves(picture: "Picture", settings: SceneSettings) -> bool:
    width, height = picture.size
    if max(width, height) > settings.aspect * min(width, height) or width * height < settings.largest * settings.side**2:
        return False
    inside = np.asarray(picture)[..., 3] >= OPAQUE
    return float(inside.mean()) >= settings.fill and _largest_piece(inside) >= settings.whole


def _largest_piece(inside: Mask) -> float:
    """Share of a mask [H, W] that its largest connected piece makes."""
    from scipy import ndimage

    pieces, _ = ndimage.label(inside, structure=np.ones((3, 3)))
    return float(np.bincount(pieces[inside]).max() / inside.sum())


def _visible_on(picture: "Picture") -> tuple[str, ...]:
    """Grounds from which most of the object, and most of its outline, stands out."""
    from PIL import ImageColor

    pixels = np.asarray(picture)
    inside = pixels[..., 3] >= OPAQUE
    colours = pixels[..., :3].astype(np.float64)
    rim = inside & ~_eroded(inside, 3)
    found = []
    for ground in GROUNDS:
        apart = np.linalg.norm(colours - np.array(ImageColor.getrgb(ground)[:3]), axis=-1) >= CONTRAST
        if apart[inside].mean() >= 0.6 and apart[rim].mean() >= 0.75:
            found.append(ground)
    return tuple(found)


def _eroded(
    mask: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]", steps: int
) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    for _ in range(steps):
        padded = np.pad(mask, 1)
        mask = padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def cutouts(shown: Iterable[Demonstration], store: ImageStore, settings: SceneSettings) -> Iterator[Cutout]:
    """The demonstrations of one picture each that serve as cut-outs, one a picture, in their order, as they are found."""
    seen: set[str] = set()
    for demonstration in shown:
        refs = [image.ref for image in demonstration.images]
        if len(refs) != 1 or refs[0] in seen:
            continue
        seen.add(refs[0])
        picture = cut(store.get(refs[0]), settings)
        grounds = _visible_on(picture) if picture else ()
        if picture and grounds:
            yield Cutout(demonstration, picture, grounds)


def scatter(cutout: Cutout, count: int, dice: np.random.Generator, settings: SceneSettings) -> Scene:
    """`count` copies of a cut-out. Equal generators, equal scenes."""
    if not 1 <= count <= MOST:
        raise ConfigError(f"a scene holds 1 to {MOST} objects, not {count}")
    cover, ground = settings.cover(count, dice), cutout.grounds[int(dice.integers(len(cutout.grounds)))]
    for _ in range(ROUNDS):
        copies = _copies(cutout.picture, cover * settings.side**2, count, dice, settings)
        if places := _places([copy.size for copy in copies], dice, settings):
            return _painted(copies, places, ground, settings)
    raise ConfigError(f"{count} objects find no room in a scene of {settings.side} pixels; lower crowded, spread or gap")


def _copies(
    picture: "Picture", cover: float, count: int, dice: np.random.Generator, settings: SceneSettings
) -> "list[Picture]":
    """Copies whose boxes cover `cover` pixels before they are turned, largest first."""
    from PIL import Image as Pillow

    weights = np.sort(settings.spread ** dice.uniform(size=count))[::-1]
    areas = cover * weights / weights.sum()
    turned = []
    for area in areas.tolist():
        scale = min(1.0, float(np.sqrt(area / (picture.width * picture.height))))
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        copy = picture.resize(size, Pillow.Resampling.LANCZOS, reducing_gap=3.0)
        angle = float(dice.uniform(-settings.turn, settings.turn))
        copy = copy.rotate(angle, Pillow.Resampling.BICUBIC, expand=True)
        turned.append(copy.crop(copy.getchannel("A").getbbox() or (0, 0, *copy.size)))
    return turned


def _places(sizes: list[tuple[int, int]], dice: np.random.Generator, settings: SceneSettings) -> list[tuple[int, int]] | None:
    """A random place for every box so that none touches another; None when one found no room.

    All stand in a window, whose size is drawn between what they need and the whole scene: few objects may be far apart and
    many close together.
    """
    left, top, wide, high = _window(sizes, dice, settings)
    taken: list[Box] = []
    for width, height in sizes:
        if width > wide or height > high:
            return None
        lefts = dice.integers(left, left + wide - width + 1, size=TRIES).tolist()
        tops = dice.integers(top, top + high - height + 1, size=TRIES).tolist()
        boxes = ((x, y, x + width, y + height) for x, y in zip(lefts, tops, strict=True))
        free = next((box for box in boxes if not any(_touch(box, other, settings.gap) for other in taken)), None)
        if free is None:
            return None
        taken.append(free)
    return [box[:2] for box in taken]


def _window(sizes: list[tuple[int, int]], dice: np.random.Generator, settings: SceneSettings) -> Box:
    """Left, top, width and height of where objects may stand."""
    room = settings.side - 2 * settings.gap
    needed = sum((width + settings.gap) * (height + settings.gap) for width, height in sizes) / DENSEST
    share = float(np.exp(dice.uniform(min(0.0, np.log(needed / room**2)), 0.0)))
    wide = int(min(room, max(room * np.sqrt(share * np.exp(dice.uniform(-0.4, 0.4))), *(width for width, _ in sizes))))
    high = int(min(room, max(room**2 * share / wide, *(height for _, height in sizes))))
    left, top = (settings.gap + int(dice.integers(0, room - side + 1)) for side in (wide, high))
    return left, top, wide, high


def _touch(one: Box, other: Box, gap: int) -> bool:
    apart = one[0] >= other[2] + gap or other[0] >= one[2] + gap or one[1] >= other[3] + gap or other[1] >= one[3] + gap
    return not apart


def _painted(copies: "list[Picture]", places: list[tuple[int, int]], ground: str, settings: SceneSettings) -> Scene:
    from PIL import Image as Pillow

    scene = Pillow.new("RGB", (settings.side, settings.side), ground)
    covered = 0.0
    for copy, place in zip(copies, places, strict=True):
        scene.paste(copy, place, copy)
        covered += float(np.asarray(copy)[..., 3].sum()) / 255
    boxes = tuple((x, y, x + copy.width, y + copy.height) for copy, (x, y) in zip(copies, places, strict=True))
    return Scene(scene, boxes, covered / settings.side**2)


def side_by_side(left: "Picture", right: "Picture", bar: int = 6) -> "Picture":
    """Two scenes as one picture, with a bar between them."""
    from PIL import Image as Pillow

    joined = Pillow.new("RGB", (left.width + bar + right.width, left.height), "#808080")
    joined.paste(left, (0, 0))
    joined.paste(right, (left.width + bar, 0))
    return joined
