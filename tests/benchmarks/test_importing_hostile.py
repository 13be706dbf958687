"""Files from strangers: whatever they hold, an import ends in items, counted rejections or one line of error."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.benchmarks.importing.bring import bring, prepare
from curate.errors import InputError, ShotcraftError
from tests.benchmarks.test_importing import brought, conversation, open_mi, pictures, vqa, write


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "link.png", "folder", "gone.png", "a\x00b", "x" * 5000, "\ud800.png"]
)
def test_a_picture_outside_the_set_or_none_at_all_is_rejected(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, 1, 50)
    (tmp_path / "p50.png").rename(tmp_path / "secret.png")
    good, folder = pictures(tmp_path / "set", 1), tmp_path / "set"
    (folder / "link.png").symlink_to("../secret.png")
    (folder / "folder").mkdir()
    rows = [conversation([one], ("<image>\nWhat?", "x")) for one in (*good, name)]
    (folder / "set.json").write_text(json.dumps(rows), encoding="utf-8")
    found = brought("llava", folder)
    assert (len(found.items), len(found.rejected)) == (1, 1)
    assert found.rejected[0]["reason"] in ("outside_root", "missing_file", "unreadable_file", "bad_encoding")


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, b"GIF89a" + b"\xff" * 40])
def test_bytes_that_are_no_picture_are_rejected(tmp_path: Path, data: bytes) -> None:
    names = pictures(tmp_path, 1)
    (tmp_path / "bad.png").write_bytes(data)
    found = brought(
        "llava", write(tmp_path, set=[conversation([one], ("<image>\nWhat?", "x")) for one in (*names, "bad.png")])
    )
    assert (len(found.items), len(found.rejected)) == (1, 1)


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "{}", '"text"', "[" * 100_000, "9" * 5000, "\ufeff[", '{"questions": 3}']
)
@pytest.mark.parametrize(("kind", "file"), [("llava", "set"), ("vl-icl", "query"), ("flamingo", "val_captions")])
def test_a_file_that_holds_no_records_is_one_line_of_error(tmp_path: Path, text: str, kind: str, file: str) -> None:
    (tmp_path / f"{file}.json").write_text(text, encoding="utf-8")
    if kind == "vl-icl":
        (tmp_path / "support.json").write_text(text, encoding="utf-8")
    with pytest.raises(ShotcraftError):
        brought(kind, tmp_path)


def test_a_bad_support_record_is_rejected_once_and_stands_nowhere(tmp_path: Path) -> None:
    names = pictures(tmp_path, 6)
    rows: list[Any] = [{"id": name, "image": [name], "question": "Read.", "answer": "word"} for name in names]
    bad = [{"id": "gone", "image": ["gone.png"], "question": "?", "answer": "x"}, 7, {"id": "mute", "image": [names[0]]}]
    found = brought("vl-icl", write(tmp_path, query=rows[:3], support=[*rows[3:], *bad]), shots=[3])
    assert len(found.items) == 3
    assert [row["record"] for row in found.rejected] == ["support gone", "support #5", "support mute"]


def test_queries_without_enough_demonstrations_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too_few_demonstrations 4"):
        brought("vl-icl", open_mi(tmp_path), shots=[4])
    vqa(tmp_path / "vqa", "val", 3, 0)
    with pytest.raises(InputError, match="too_few_demonstrations 3"):
        brought("flamingo", tmp_path / "vqa", shots=[3])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just("p0.png"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "image",
                    "conversations",
                    "from",
                    "value",
                    "question",
                    "answer",
                    "answers",
                    "classes",
                    "support",
                    "operator",
                ]
            )
            | st.sampled_from(
                ["same", "diff", "images", "questions", "annotations", "caption", "image_id", "question_id", "file_name", "c0"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pictures."""
    folder: Path = tmp_path_factory.mktemp("any")
    pictures(folder, 2)
    return folder


@pytest.mark.parametrize(
    ("kind", "files"), [("llava", ["set"]), ("vl-icl", ["query", "support"]), ("flamingo", ["val_captions"])]
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json_ends_in_items_or_a_users_error(place: Path, kind: str, files: list[str], data: st.DataObject) -> None:
    for old in place.glob("*.json"):
        old.unlink()
    for name in files:
        rows = data.draw(st.lists(JSON, max_size=4) | JSON)
        (place / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    try:
        found = bring(kind, place, prepare(kind, {"shots": [0, 1]}, "out"), 1.0)
    except ShotcraftError:
        return
    assert found.items
