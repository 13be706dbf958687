"""A folder of pictures and captions: every good pair is there, every bad one has its reason."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect width="9" height="9" fill="red"/></svg>'


def test_first_line_is_the_caption_and_folders_are_concepts(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    text = "\n  A sea lion.  \nde.utf8=Ein Seelöwe.\nMore.\n"
    source = lay({"animals/sea_mammals/lion.png": picture(1), "animals/sea_mammals/lion.txt": text})
    _, [shown] = imported("captions", source)
    assert (shown.answer, shown.question, shown.task, shown.format) == ("A sea lion.", "", "caption", "caption")
    assert shown.concepts == ("sea mammals", "animals")
    assert (shown.images[0].width, shown.images[0].height) == (200, 160)
    assert shown.provenance.record == "animals/sea_mammals/lion.png"
    assert (shown.source, shown.provenance.source) == ("set", "set")


def test_a_translation_is_no_caption(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    manifest, _ = imported("captions", lay({"a.png": picture(1), "a.txt": "ach.utf8=Nukta N\naf.utf8=Die letter N"}))
    assert manifest.rejected == {"no_answer": 1}


def test_pixels_and_drawing_of_one_name_are_one_record(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay({"a.png": picture(1), "a.svg": DRAWING, "a.txt": "A red box.", "b.svg": DRAWING, "b.txt": "A box."})
    _, shown = imported("captions", source)
    assert [(d.provenance.record, d.images[0].width) for d in shown] == [("a.png", 200), ("b.svg", 224)]
    _, drawn = imported("captions", source, out="other", prefer="drawing", svg_size=96)
    assert [(d.provenance.record, d.images[0].width) for d in drawn] == [("a.svg", 96), ("b.svg", 96)]


def test_bad_records_have_reasons_and_good_ones_are_all_there(
    lay: Any, imported: Any, picture: Callable[..., bytes], tmp_path: Path
) -> None:
    files: dict[str, bytes | str] = {f"good{n}.png": picture(n) for n in range(5)}
    files |= {f"good{n}.txt": f"Picture number {n}." for n in range(5)}
    files |= {"lonely.png": picture(9), "orphan.txt": "No picture."}
    files |= {"empty.png": b"", "empty.txt": "Zero bytes."}
    files |= {"cut.png": picture(8)[:400], "cut.txt": "Truncated."}
    files |= {"text.png": "not a picture", "text.txt": "A lie."}
    files |= {"latin.png": picture(7), "latin.txt": "Ein L\xf6we".encode("latin-1")}
    files |= {"mute.png": picture(6), "mute.txt": "  \n \n"}
    files |= {"long.png": picture(6), "long.txt": "x" * 30_000}
    files |= {"blank.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "blank.txt": "Nothing."}
    files |= {"bomb.svg": '<svg xmlns="http://www.w3.org/2000/svg">' + "<g>" * 500, "bomb.txt": "Deep."}
    source = lay(files)
    (tmp_path / "secret.png").write_bytes(picture(11))
    (source / "link.png").symlink_to(tmp_path / "secret.png")
    (source / "link.txt").write_text("A picture outside.")
    os.mkfifo(source / "pipe.png")
    (source / "pipe.txt").write_text("A pipe never ends.")
    manifest, shown = imported("captions", source)
    assert [d.answer for d in shown] == [f"Picture number {n}." for n in range(5)]
    assert manifest.rejected == {
        "bad_encoding": 1,
        "empty": 1,
        "missing_file": 1,
        "no_answer": 1,
        "no_caption": 1,
        "no_picture": 1,
        "outside_root": 1,
        "svg_blank": 1,
        "svg_too_deep": 1,
        "text_too_long": 1,
        "truncated": 1,
        "unknown_format": 1,
    }


def test_utf16_captions_and_byte_order_marks_are_read(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    files = {"a.png": picture(1), "a.txt": "Ein Löwe.".encode("utf-16"), "b.png": picture(2), "b.txt": "\ufeffEin Bär."}
    _, shown = imported("captions", lay(files))
    assert [d.answer for d in shown] == ["Ein Löwe.", "Ein Bär."]


def test_file_names_that_are_no_text_are_rejected(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay({"a.png": picture(1), "a.txt": "Fine."})
    with open(os.fsencode(source) + b"/b\xff.png", "wb") as file:
        file.write(picture(2))
    with open(os.fsencode(source) + b"/b\xff.txt", "w") as text:
        text.write("Not fine.")
    manifest, shown = imported("captions", source)
    assert manifest.rejected == {"bad_name": 1}
    assert len(shown) == 1


def test_boilerplate_folders_are_dropped_by_settings(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay(
        {f"{name}.png": picture(n) for n, name in enumerate(["food/red_apple", "computer/icons/x", "shapes/stars/y"])}
    )
    drop = ["computer/icons/*", "shapes/stars/*"]
    manifest, [shown] = imported("captions", source, caption_from="name", exclude=drop, concepts_from="caption")
    assert manifest.dropped == {"excluded": 2}
    assert (shown.answer, shown.concepts) == ("red apple", ("red apple",))


@pytest.mark.parametrize(
    ("caption", "concept"), [("A frog.", "frog"), ("An Old Map.", "old map"), ("The letter N.", "letter n")]
)
def test_a_caption_as_a_concept_has_no_article(caption: str, concept: str) -> None:
    from curate.demonstrations.importers.captions import bare

    assert bare(caption) == concept


def test_folders_that_name_a_style_are_passed_over(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay({"animals/cartoon/1.png": picture(1), "animals/cartoon/1.txt": "A dog."})
    _, [captioned] = imported("captions", source, skip_folders=("cartoon",))
    _, [labelled] = imported("classes", source, out="classes", skip_folders=("cartoon",))
    assert captioned.concepts == labelled.concepts == ("animals",)
    assert labelled.answer == "animals"


def test_capitals_in_endings_change_nothing(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay({"a.jpg": picture(1, format="JPEG"), "a.TXT": "One.", "B.JPG": picture(2, format="JPEG"), "B.Txt": "Two."})
    manifest, shown = imported("captions", source)
    assert [(d.provenance.record, d.answer) for d in shown] == [("B.JPG", "Two."), ("a.jpg", "One.")]
    assert manifest.rejected == {}
    _, shown = imported("captions", source, out="other", suffix=".TXT")
    assert len(shown) == 2


def test_a_second_picture_of_one_name_is_counted(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay({"a.jpg": picture(1, format="JPEG"), "a.png": picture(2), "a.txt": "One."})
    manifest, shown = imported("captions", source)
    assert [d.provenance.record for d in shown] == ["a.jpg"]
    assert manifest.dropped == {"same_name": 1}
