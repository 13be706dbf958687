"""Folders, tables and runs are read as the same labelled pictures; what is bad has a reason and the rest stands."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.demonstrations import import_set
from curate.errors import InputError, IntegrityError
from curate.images import BadImage
from curate.labelled import Pictures, read_labelled
from curate.layout import Run

Draw = Callable[..., bytes]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="5" height="9" fill="red"/></svg>'


def put(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


@pytest.fixture
def folders(tmp_path: Path, picture: Draw) -> Path:
    for seed, name in enumerate(["red_fox/a.png", "red_fox/b.jpg", "owl/deep/c.png"]):
        put(tmp_path / "set" / name, picture(seed, format="JPEG" if name.endswith("jpg") else "PNG"))
    put(tmp_path / "set" / "owl" / "drawn.svg", SVG)
    return tmp_path / "set"


def test_a_folder_for_each_label(folders: Path) -> None:
    found = read_labelled(folders)
    assert [(row.name, row.label, row.question) for row in found.rows] == [
        ("owl/deep/c.png", "deep", None),
        ("owl/drawn.svg", "owl", None),
        ("red_fox/a.png", "red fox", None),
        ("red_fox/b.jpg", "red fox", None),
    ]
    assert found.labels == ("deep", "owl", "red fox")
    drawn = found.rows[1].pictures[0]
    assert drawn.ref.endswith(".png")
    assert found.data(drawn.ref).startswith(b"\x89PNG")


def test_bad_pictures_are_rejected_and_the_rest_stands(folders: Path, picture: Draw) -> None:
    put(folders / "owl" / "torn.png", picture(1)[:200])
    put(folders / "owl" / "text.jpg", b"no picture")
    put(folders / "loose.png", picture(7))
    (folders / "owl" / "out.png").symlink_to("/etc/hostname")
    found = read_labelled(folders)
    assert len(found.rows) == 4
    assert {one.name: one.reason for one in found.rejected} == {
        "loose.png": "no_class",
        "owl/out.png": "outside_root",
        "owl/text.jpg": "unknown_format",
        "owl/torn.png": "truncated",
    }


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_beside_its_pictures(tmp_path: Path, picture: Draw, kind: str) -> None:
    put(tmp_path / "p" / "1.png", picture(1))
    rows = [("p/1.png", "cat"), ("p/2.png", "dog"), ("../../etc/passwd", "x"), ("p/1.png", "")]
    csv = "image,label\n" + "".join(f"{name},{label}\n" for name, label in rows) + "one cell\n"
    lines = "".join(json.dumps({"image": name, "label": label, "question": "Q?"}) + "\n" for name, label in rows) + "{torn"
    (tmp_path / f"table.{kind}").write_text(csv if kind == "csv" else lines)
    found = read_labelled(tmp_path / f"table.{kind}")
    assert [(row.name, row.label) for row in found.rows] == [("p/1.png", "cat")]
    assert found.rows[0].question == (None if kind == "csv" else "Q?")
    reasons = [one.reason for one in found.rejected]
    assert reasons == ["missing_file", "outside_root", "no_label", "bad_row" if kind == "csv" else "bad_json"]


def test_a_table_without_labels_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,kind\na.png,x\n")
    with pytest.raises(InputError, match=r"has no column 'label'.*it has: image, kind"):
        read_labelled(tmp_path / "t.csv")
    (tmp_path / "t.txt").write_text("x")
    with pytest.raises(InputError, match="neither"):
        read_labelled(tmp_path / "t.txt")
    with pytest.raises(InputError, match="does not exist"):
        read_labelled(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no usable"):
        read_labelled(tmp_path / "empty")


def test_a_run_by_answer_or_by_concept(folders: Path, tmp_path: Path) -> None:
    run = Run.at(tmp_path / "run")
    import_set("classes", str(folders), {"level": "outermost", "questions": ("What?",)}, run)
    found = read_labelled(tmp_path / "run")
    assert found.labels == ("owl", "red fox")
    assert {row.question for row in found.rows} == {"What?"}
    image = found.rows[0].pictures[0]
    assert found.data(image.ref) == run.images.get(image.ref)
    (tmp_path / "run" / "images" / image.ref[:2] / image.ref).write_bytes(b"other")
    with pytest.raises(IntegrityError, match="another picture"):
        read_labelled(tmp_path / "run").data(image.ref)
    by_concept = read_labelled(tmp_path / "run", "concept")
    assert by_concept.labels == ("owl", "red fox")
    assert {row.question for row in by_concept.rows} == {None}


def test_pictures_of_a_folder_or_a_single_one(folders: Path) -> None:
    assert Pictures(folders).names == ["owl/deep/c.png", "owl/drawn.svg", "red_fox/a.png", "red_fox/b.jpg"]
    alone = Pictures(folders / "red_fox" / "a.png")
    assert alone.names == ["a.png"]
    assert alone.read("a.png")[0].width == 200
    assert alone.digest("gone.png") == ""
    with pytest.raises(BadImage, match="outside_root"):
        alone.read("../owl/drawn.svg")
