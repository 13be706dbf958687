"""Pixels for processors: bit for bit those of `open_rgb`, whatever the file, and the same verdicts."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.images import BadImage, open_rgb
from train.data.pictures import pixels

PHOTO = np.clip(
    np.asarray(Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)).resize((157, 101)))
    + np.random.default_rng(1).normal(0, 9, (101, 157, 3)),
    0,
    255,
).astype(np.uint8)


def saved(mode: str, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PHOTO).convert(mode).save(out, kind, **options)
    return out.getvalue()


def rotated(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return saved("RGB", "JPEG", exif=exif)


def deep() -> bytes:
    out = io.BytesIO()
    Image.fromarray(PHOTO[:, :, 0].astype(np.uint16) * 257).save(out, "PNG")
    return out.getvalue()


KINDS = {
    "4:2:0": saved("RGB", "JPEG", quality=90, subsampling=2),
    "4:2:2": saved("RGB", "JPEG", quality=60, subsampling=1),
    "4:4:4": saved("RGB", "JPEG", quality=95, subsampling=0),
    "progressive": saved("RGB", "JPEG", progressive=True, optimize=True),
    "grey": saved("L", "JPEG"),
    "CMYK": saved("CMYK", "JPEG"),
    "kept RGB": saved("RGB", "JPEG", keep_rgb=True),
    "restarts": saved("RGB", "JPEG", restart_marker_rows=1),
    **{f"EXIF {turn}": rotated(turn) for turn in range(1, 9)},
    "PNG": saved("RGB", "PNG"),
    "alpha": saved("RGBA", "PNG"),
    "palette": saved("P", "PNG"),
    "16 bits": deep(),
    "WebP": saved("RGB", "WEBP"),
    "GIF": saved("RGB", "GIF"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_open_rgb(kind: str) -> None:
    found = pixels(KINDS[kind])
    expected = torch.from_numpy(np.array(open_rgb(KINDS[kind]))).permute(2, 0, 1)
    assert found.dtype == torch.uint8
    assert torch.equal(found, expected)


def outcome(decode: Any, data: bytes) -> str | tuple[int, ...]:
    """The reason of a refusal, or the shape."""
    try:
        return tuple(decode(data).shape)
    except BadImage as bad:
        return bad.reason


@given(kind=st.sampled_from(["4:2:0", "progressive", "grey", "CMYK", "EXIF 6"]), data=st.data())
def test_damaged_jpegs_get_pixels_or_the_verdict_of_open_rgb(kind: str, data: st.DataObject) -> None:
    """A cut or a flipped byte never crashes; where `open_rgb` refuses, so do we, unless torchvision read it whole."""
    jpeg = bytearray(KINDS[kind])
    if data.draw(st.booleans(), label="cut"):
        jpeg = jpeg[: data.draw(st.integers(0, len(jpeg)))]
    else:
        jpeg[data.draw(st.integers(0, len(jpeg) - 1))] ^= data.draw(st.integers(1, 255))
    found = outcome(pixels, bytes(jpeg))
    expected = outcome(lambda data: torch.from_numpy(np.array(open_rgb(data))).permute(2, 0, 1), bytes(jpeg))
    assert found == expected or (isinstance(expected, str) and not isinstance(found, str))


def test_a_jpeg_that_claims_too_many_pixels_is_refused_by_its_header() -> None:
    with pytest.raises(BadImage, match="too_many_pixels"):
        pixels(KINDS["4:2:0"], max_pixels=157 * 101 - 1)
    pixels(KINDS["4:2:0"], max_pixels=157 * 101)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff" + bytes(500), b"GIF89a"])
def test_what_is_no_image_has_a_reason(data: bytes) -> None:
    with pytest.raises(BadImage):
        pixels(data)
