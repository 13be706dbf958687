"""Tables beside images: columns are mapped, missing ones told in one line, bad rows rejected one by one."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.errors import ConfigError, InputError


def parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


ROWS = [{"file_name": f"images/{n}.png", "text": f"picture, number {n}"} for n in range(3)]
TABLES: dict[str, bytes] = {
    "metadata.csv": ("file_name,text\n" + "".join(f'{r["file_name"]},"{r["text"]}"\n' for r in ROWS)).encode(),
    "metadata.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "metadata.parquet": parquet(ROWS),
}


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_kind_of_table_gives_the_same_records(
    lay: Any, imported: Any, picture: Callable[..., bytes], table: str
) -> None:
    source = lay({table: TABLES[table], **{f"images/{n}.png": picture(n) for n in range(3)}})
    _, shown = imported("metadata", source)
    assert [(d.provenance.record, d.answer) for d in shown] == [(r["file_name"], r["text"]) for r in ROWS]
    assert {d.format for d in shown} == {"caption"}


def test_columns_are_mapped_and_names_are_relative_to_their_table(
    lay: Any, imported: Any, picture: Callable[..., bytes]
) -> None:
    row = {"photos": ["a.png", "b.png"], "q": "How many differ?", "a": 2, "about": ["number", "dice"], "by": "CC-BY-4.0"}
    source = lay({"deep/metadata.jsonl": json.dumps(row), "deep/a.png": picture(1), "deep/b.png": picture(2)})
    mapping = {"image": ["photos"], "question": "q", "answer": "a", "concepts": ["about"], "licence_column": "by"}
    _, [shown] = imported("metadata", source, task="counting", **mapping)
    assert (shown.question, shown.answer, shown.concepts) == ("How many differ?", "2", ("number", "dice"))
    assert (shown.task, shown.format, shown.licence, len(shown.images)) == ("counting", "open_qa", "CC-BY-4.0", 2)


def test_numbered_classes_get_their_names_and_a_question(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    source = lay({"metadata.csv": "file_name,label\na.png,1\nb.png,7\n", "a.png": picture(1), "b.png": picture(2)})
    manifest, [shown] = imported(
        "metadata", source, answer="label", labels=["cat", "dog"], task="category", questions=["Which?"]
    )
    assert (shown.answer, shown.question, shown.concepts) == ("dog", "Which?", ("dog",))
    assert manifest.rejected == {"unknown_label": 1}


def test_missing_columns_are_one_clear_error(lay: Any, imported: Any) -> None:
    source = lay({"metadata.csv": "file_name,caption\na.png,x\n"})
    with pytest.raises(
        InputError, match=r"metadata.csv has no column 'text'; it has: file_name, caption; map yours with --set"
    ):
        imported("metadata", source)


@pytest.mark.parametrize(
    ("files", "says"),
    [({}, "does not exist"), ({"x.txt": "x"}, "holds no metadata.csv"), ({"metadata.parquet": "no"}, "not readable Parquet")],
)
def test_a_source_that_is_none_is_one_clear_error(lay: Any, imported: Any, tmp_path: Path, files: Any, says: str) -> None:
    lay(files)
    with pytest.raises(InputError, match=says):
        imported("metadata", tmp_path / "source")


def test_unknown_settings_name_the_nearest_known_one(lay: Any, imported: Any) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'anwser' \(did you mean 'answer'"):
        imported("metadata", lay({"x": ""}), anwser="x")


def test_bad_rows_have_reasons_and_good_ones_are_all_there(
    lay: Any, imported: Any, picture: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(picture(9))
    lines: list[bytes] = [
        b'{"file_name": "a.png", "text": "good"}',
        b'{"file_name": "a.png", "text": "good again"}',
        b'{"file_name": "../secret.png", "text": "outside"}',
        b'{"file_name": "/etc/passwd", "text": "outside"}',
        b'{"file_name": "gone.png", "text": "missing"}',
        b'{"file_name": "a.png"}',
        b'{"text": "no file"}',
        b'{"file_name": 7, "text": "number"}',
        b'{"file_name": "a.png", "text": {"x": 1}}',
        b'{"file_name": "a.png", "text": "\\ud800"}',
        b'{"file_name": "a.png", "text": "\xff"}',
        b"[1, 2]",
        b"{",
        b"[" * 100_000,
        b'{"file_name": "a\\u0000.png", "text": "zero"}',
        b'{"file_name": "' + b"x" * 5000 + b'", "text": "long"}',
    ]
    source = lay({"metadata.jsonl": b"\n".join(lines), "a.png": picture(1)})
    manifest, shown = imported("metadata", source)
    assert [(d.provenance.record, d.answer) for d in shown] == [("a.png", "good"), ("a.png#2", "good again")]
    assert len({d.id for d in shown}) == 2
    expected = {"bad_encoding": 2, "bad_json": 3, "missing_field": 2, "missing_file": 1, "outside_root": 4, "wrong_type": 2}
    assert manifest.rejected == expected


def test_bad_csv_rows_do_not_disturb_their_neighbours(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    table = b"file_name,text\na.png,good\nb.png\na.png,too,many\na.png,\xff\xfe\n\na.png,\na.png,also good\n"
    manifest, shown = imported("metadata", lay({"metadata.csv": table, "a.png": picture(1)}))
    assert [d.answer for d in shown] == ["good", "also good"]
    assert manifest.rejected == {"bad_encoding": 1, "bad_row": 2, "missing_field": 1}


def test_class_folders_answer_a_question(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    names = ["train/sea_lion/a.png", "train/sea_lion/b.jpg", "train/owl/c.png", "loose.png"]
    source = lay({name: picture(n, format="JPEG" if name.endswith("jpg") else "PNG") for n, name in enumerate(names)})
    manifest, shown = imported("classes", source)
    assert [(d.answer, d.concepts) for d in shown] == [("owl", ("owl", "train")), *[("sea lion", ("sea lion", "train"))] * 2]
    assert {(d.task, d.format) for d in shown} == {("category", "open_qa")}
    assert all(d.question.endswith(("?", ".")) for d in shown)
    assert manifest.rejected == {"no_class": 1}


def test_absurd_nesting_spoils_one_row_only(lay: Any, imported: Any, picture: Callable[..., bytes]) -> None:
    lines = ['{"file_name": "a.png", "text": ' + "[" * 600 + "]" * 600 + "}", '{"file_name": "a.png", "text": "good"}']
    manifest, shown = imported("metadata", lay({"metadata.jsonl": "\n".join(lines), "a.png": picture(1)}))
    assert [d.answer for d in shown] == ["good"]
    assert manifest.rejected == {"too_deep": 1}


def test_a_mapping_needs_an_image_column(lay: Any, imported: Any) -> None:
    with pytest.raises(ConfigError, match="image"):
        imported("metadata", lay({"metadata.csv": "file_name,text\na.png,good\n"}), image=[])
