"""Composed pictures: as many objects as asked for, apart from one another, and nothing but counting tells how many."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageDraw
from pydantic import ValidationError
from scipy import ndimage

from curate.benchmarks.composing import MOST, Cutout, SceneSettings, cut, cutouts, scatter
from curate.errors import ConfigError
from curate.schema import Demonstration, Image, Provenance
from curate.storage import ImageStore

SCENES = SceneSettings()


def drawing(colour: str = "#c02020", size: tuple[int, int] = (200, 180), pieces: int = 1, mode: str = "RGBA") -> bytes:
    """A drawing of ellipses on a clear ground."""
    picture = Pillow.new("RGBA", (size[0] + 20, size[1] + 20))
    pen, wide = ImageDraw.Draw(picture), size[0] // pieces
    for at in range(pieces):
        pen.ellipse((10 + at * wide, 10, 10 + (at + 1) * wide - 8, 10 + size[1]), fill=colour)
    out = io.BytesIO()
    picture.convert(mode).save(out, "PNG")
    return out.getvalue()


def shown(ref: str, concept: str = "ball") -> Demonstration:
    """A demonstration of one picture."""
    image = Image(ref, 220, 200, "0" * 16)
    return Demonstration(
        concept,
        (image,),
        "What?",
        concept,
        "category",
        (concept,),
        "open_qa",
        "",
        "",
        "set",
        "CC0",
        Provenance("set", concept),
    )


def ball(colour: str = "#c02020") -> Cutout:
    """A cut-out seen on all light grounds."""
    picture = cut(drawing(colour), SCENES)
    assert picture
    return Cutout(shown("0" * 64 + ".png"), picture, ("#ffffff",))


def pieces(picture: Pillow.Image) -> int:
    """How many separate objects stand on a white ground."""
    ink = np.abs(np.asarray(picture).astype(int) - 255).sum(axis=-1) > 60
    return int(ndimage.label(ink, structure=np.ones((3, 3)))[1])


@given(count=st.integers(1, MOST), seed=st.integers(0, 2**32))
def test_a_scene_shows_as_many_separate_objects_as_asked_for(count: int, seed: int) -> None:
    scene = scatter(ball(), count, np.random.default_rng(seed), SCENES)
    assert pieces(scene.picture) == count == len(scene.boxes)


@given(count=st.integers(2, MOST), seed=st.integers(0, 2**32))
def test_boxes_keep_their_gap_from_each_other_and_from_the_edge(count: int, seed: int) -> None:
    boxes = scatter(ball(), count, np.random.default_rng(seed), SCENES).boxes
    gap = SCENES.gap
    for at, (left, top, right, bottom) in enumerate(boxes):
        assert gap <= min(left, top)
        assert max(right, bottom) <= SCENES.side - gap
        for other in boxes[:at]:
            assert left >= other[2] + gap or other[0] >= right + gap or top >= other[3] + gap or other[1] >= bottom + gap


def test_equal_generators_give_equal_scenes() -> None:
    one, other = (scatter(ball(), 5, np.random.default_rng(7), SCENES).picture.tobytes() for _ in range(2))
    assert one == other


def test_neither_ink_nor_size_nor_the_ground_covered_tells_much_of_the_count() -> None:
    """A threshold on one of them finds the larger of two counts less than two times in three."""
    dice, rows = np.random.default_rng(0), []
    for at in range(600):
        count = 1 + at % 6
        scene = scatter(ball(), count, dice, SCENES)
        sizes = [(box[2] - box[0]) * (box[3] - box[1]) for box in scene.boxes]
        rows.append((count, scene.ink, float(np.mean(sizes)), float(max(sizes))))
    table = np.array(rows)
    one, other = dice.integers(0, len(table), (2, 20_000))
    differ = table[one, 0] != table[other, 0]
    more = table[one[differ], 0] > table[other[differ], 0]
    for cue in (1, 2, 3):
        right = float(((table[one[differ], cue] > table[other[differ], cue]) == more).mean())
        assert max(right, 1 - right) < 0.67


def test_what_is_no_single_object_on_a_clear_ground_is_no_cutout() -> None:
    opaque, small, several = drawing(mode="RGB"), drawing(size=(60, 60)), drawing(pieces=2)
    empty, long = io.BytesIO(), drawing(size=(400, 120))
    Pillow.new("RGBA", (300, 300)).save(empty, "PNG")
    for data in (opaque, small, several, empty.getvalue(), long, b"", b"\x89PNG\r\n\x1a\nbroken", drawing()[:200]):
        assert cut(data, SCENES) is None
    assert cut(drawing(), SCENES)


def test_an_object_stands_only_on_grounds_that_show_it(tmp_path) -> None:
    store = ImageStore.at(tmp_path)
    refs = [store.put(drawing(colour), "png") for colour in ("#ffffff", "#303030", "#ffffff")]
    white, dark = cutouts([shown(ref) for ref in refs], store, SCENES)  # the same picture once
    assert "#ffffff" not in white.grounds
    assert white.grounds
    assert "#2e2e33" not in dark.grounds
    assert "#ffffff" in dark.grounds


def test_counts_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 to 12"):
        scatter(ball(), 0, np.random.default_rng(0), SCENES)
    with pytest.raises(ValidationError, match="do not fit"):
        SceneSettings(smallest=0.05)
