"""Every kind of image has one defined outcome: facts, or a reason."""

import contextlib
import io
import random
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from curate.images import BadImage, open_rgb, verify

Draw = Callable[..., bytes]


def encoded(picture: Pillow.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def reason_of(data: bytes, **options: int) -> str:
    with pytest.raises(BadImage) as caught:
        verify(data, **options)
    return caught.value.reason


def png_header(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 10) + b"IDAT" + b"x" * 14


@pytest.mark.parametrize(
    ("format", "extension"),
    [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp"), ("TIFF", "tif")],
)
def test_sound_images_of_every_format_give_facts(picture: Draw, format: str, extension: str) -> None:
    facts = verify(picture(1, format=format))
    assert (facts.extension, facts.width, facts.height, len(facts.phash)) == (extension, 200, 160, 16)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_truncated_images_are_refused(picture: Draw, format: str) -> None:
    data = picture(1, format=format)
    assert reason_of(data[: len(data) // 2]) in ("truncated", "corrupt")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP"])
def test_truncation_is_called_by_its_name(picture: Draw, format: str) -> None:
    data = picture(1, size=(600, 600), format=format)
    assert reason_of(data[: len(data) * 2 // 3]) == "truncated"


def test_damaged_pixels_are_corrupt(picture: Draw) -> None:
    data = bytearray(picture(1))
    at = data.index(b"IDAT") + 30
    data[at : at + 60] = b"\0" * 60
    assert reason_of(bytes(data)) in ("corrupt", "truncated")


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_animations_are_refused(picture: Draw, format: str) -> None:
    frames = [Pillow.open(io.BytesIO(picture(seed))) for seed in range(3)]
    assert reason_of(encoded(frames[0], format, save_all=True, append_images=frames[1:])) == "animated"


def test_an_image_of_one_frame_is_no_animation(picture: Draw) -> None:
    frame = Pillow.open(io.BytesIO(picture(1)))
    assert verify(encoded(frame, "GIF", save_all=True)).extension == "gif"


def test_camera_files_with_further_views_count_as_jpeg(picture: Draw) -> None:
    views = [Pillow.open(io.BytesIO(picture(seed))) for seed in range(2)]
    data = encoded(views[0], "MPO", save_all=True, append_images=views[1:])
    assert (verify(data).extension, open_rgb(data).size) == ("jpg", (200, 160))


def test_cmyk_becomes_rgb() -> None:
    data = encoded(Pillow.new("CMYK", (40, 30), (0, 255, 255, 0)), "JPEG")
    assert verify(data).mode == "CMYK"
    red, green, blue = open_rgb(data).getpixel((5, 5))
    assert red > 200
    assert green < 60
    assert blue < 60


def test_palette_images_keep_their_colours_and_show_white_through() -> None:
    palette = Pillow.new("P", (20, 20), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((3, 3), 1)
    data = encoded(palette, "PNG", transparency=1)
    assert verify(data).mode == "P"
    assert [open_rgb(data).getpixel(at) for at in ((0, 0), (3, 3))] == [(255, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_on_white(mode: str) -> None:
    colour = (0, 0, 0, 0) if mode == "RGBA" else (0, 0)
    data = encoded(Pillow.new(mode, (8, 8), colour), "PNG")
    assert open_rgb(data).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    deep = Pillow.new("I;16", (8, 8), 0x8000)
    data = encoded(deep, "PNG")
    assert verify(data).mode.startswith("I")
    assert open_rgb(data).getpixel((0, 0)) in [(127,) * 3, (128,) * 3]


def test_exif_rotation_turns_the_picture_and_its_sides() -> None:
    wide = Pillow.new("RGB", (40, 20), "white")
    wide.paste((255, 0, 0), (0, 0, 10, 20))
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    data = encoded(wide, "JPEG", exif=exif, quality=95)
    facts = verify(data)
    assert (facts.width, facts.height) == (20, 40)
    red, green, _ = open_rgb(data).getpixel((10, 2))
    assert red > 200
    assert green < 80


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_the_hash_hardly_depends_on_the_size_of_the_picture(picture: Draw, mode: str) -> None:
    from curate.images import perceptual_hash

    whole = Pillow.open(io.BytesIO(picture(3, size=(1200, 900), mode=mode)))
    facts = verify(encoded(whole, "PNG"))
    exact = perceptual_hash(open_rgb(encoded(whole, "PNG")))
    assert (int(facts.phash, 16) ^ int(exact, 16)).bit_count() <= 4


def test_a_damaged_exif_block_does_not_matter() -> None:
    data = encoded(Pillow.new("RGB", (40, 20)), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40)
    assert verify(data).width == 40


def test_a_bomb_is_refused_by_its_header() -> None:
    assert reason_of(png_header(30_000, 30_000)) == "too_many_pixels"
    assert reason_of(png_header(9_000, 9_000)) == "too_many_pixels"
    assert reason_of(png_header(100, 100), max_pixels=9_999) == "too_many_pixels"


def test_one_pixel_is_an_image() -> None:
    facts = verify(encoded(Pillow.new("RGB", (1, 1)), "PNG"))
    assert (facts.width, facts.height) == (1, 1)


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"<html>404</html>", "unknown_format"), (b"<svg/>", "unknown_format")]
)
def test_what_is_no_image_says_so(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.floats(0.1, 1),
)
@settings(max_examples=150, deadline=None)
def test_damaged_bytes_give_facts_or_a_reason(format: str, flips: list[tuple[float, int]], share: float) -> None:
    data = bytearray(encoded(Pillow.radial_gradient("L").resize((40, 30)), format))
    for place, value in flips:
        data[int(place * len(data))] = value
    assert outcome(bytes(data[: int(share * len(data))])) in (
        "sound", "empty", "unknown_format", "too_many_pixels", "animated", "truncated", "corrupt"
    )  # fmt: skip


def outcome(data: bytes) -> str:
    try:
        return "sound" if verify(data, max_pixels=1_000_000).width > 0 else "no width"
    except BadImage as error:
        return error.reason


def test_damage_before_a_second_frame_is_a_reason_and_no_crash() -> None:
    dice = random.Random(0)
    pages = [Pillow.new("RGB", (20, 20), number) for number in range(3)]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    for _ in range(2000):
        data = bytearray(out.getvalue())
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(400)] = dice.randrange(256)
        with contextlib.suppress(BadImage):
            verify(bytes(data))
