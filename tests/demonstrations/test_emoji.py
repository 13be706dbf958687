"""Emoji pictures: one concept has one name in every drawing style."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from curate.demonstrations.importers.emoji import code_points, head
from curate.errors import InputError

DOLPHIN = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72"><circle cx="30" cy="30" r="20" fill="blue"/></svg>'


@pytest.mark.parametrize(
    ("stem", "points"),
    [
        ("1F42C", (0x1F42C,)),
        ("1f468-200d-1f33e", (0x1F468, 0x200D, 0x1F33E)),
        ("emoji_u0023_20e3", (0x23, 0x20E3)),
        ("dolphin", ()),
        ("110000", ()),
        ("d800", ()),
    ],
)
def test_code_points_are_read_off_names(stem: str, points: tuple[int, ...]) -> None:
    assert code_points(stem) == points


@pytest.mark.parametrize(
    ("name", "noun"),
    [
        ("smiling face with halo", "face"),
        ("dolphin", "dolphin"),
        ("bouquet of flowers", "bouquet"),
        ("person-juggling", "juggling"),
    ],
)
def test_the_head_of_a_name_is_what_it_is_one_of(name: str, noun: str) -> None:
    assert head(name) == noun


def test_emoji_can_be_grouped_by_the_head_of_their_names(lay: Any, imported: Any) -> None:
    source = lay({"svg/1F607.svg": DOLPHIN})
    _, [one] = imported("emoji", source, concept="head")
    assert (one.answer, one.concepts) == ("smiling face with halo", ("face",))


def test_styles_agree_on_names_and_groups(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    lay({"one/svg/1F42C.svg": DOLPHIN})
    table = [{"unified": "1F42C", "name": "THE DOLPHIN", "category": "Animals & Nature", "subcategory": "animal-marine"}]
    source = lay({"two/img/1f42c-fe0f.png": picture(1), "two/emoji.json": json.dumps(table)})
    _, [one] = imported("emoji", source / "one", source="first style")
    _, [two] = imported("emoji", source / "two", out="other")
    assert one.answer == two.answer == "dolphin"
    assert (one.source, one.concepts, one.images[0].width) == ("first style", ("dolphin",), 224)
    assert two.concepts == ("dolphin", "animal marine", "animals nature")
    assert (two.task, two.format) == ("category", "open_qa")
    _, [named] = imported("emoji", source / "two", out="third", names="table")
    assert named.answer == "the dolphin"


def test_variants_sequences_and_nameless_ones_are_dropped_with_reasons(
    lay: Any, imported: Any, picture: Callable[..., bytes]
) -> None:
    names = ["1F44B", "1F44B-1F3FB", "1F1E6-1F1E8", "E000", "readme"]
    source = lay({f"{name}.png": picture(n) for n, name in enumerate(names)})
    manifest, [shown] = imported("emoji", source)
    assert shown.answer == "waving hand sign"
    assert manifest.dropped == {"no_name": 1, "sequence": 1, "skin_tone": 1}
    assert manifest.rejected == {"no_code_point": 1}


def test_only_included_files_are_taken(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay({"color/1F42C.png": picture(1), "black/1F42C.png": picture(2)})
    manifest, [shown] = imported("emoji", source, include=["color/*"])
    assert shown.provenance.record == "color/1F42C.png"
    assert manifest.dropped == {"excluded": 1}


def test_a_broken_table_is_one_clear_error(lay: Any, imported: Any) -> None:
    with pytest.raises(InputError, match=r"emoji\.json is not a readable table"):
        imported("emoji", lay({"emoji.json": "[{", "1F42C.svg": DOLPHIN}))
