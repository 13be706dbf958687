"""Any data set of `datasets`: saved to disk or as files, images inside or beside it, nothing outside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from curate.errors import InputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def table(picture: Callable[..., bytes]) -> "datasets.Dataset":
    rows = {
        "image": [{"bytes": picture(n), "path": None} for n in range(4)] + [{"bytes": b"junk", "path": None}],
        "label": [0, 1, 0, 1, 1],
        "caption": [f"picture {n}" for n in range(5)],
    }
    features = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=["cat", "dog"]),
        "caption": datasets.Value("string"),
    }
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def test_a_saved_data_set_keeps_its_class_names(table: Any, imported: Any, tmp_path: Path) -> None:
    table.save_to_disk(tmp_path / "saved")
    manifest, shown = imported("datasets", tmp_path / "saved", answer="label")
    assert [d.answer for d in shown] == ["cat", "dog", "cat", "dog"]
    assert {(d.task, d.format) for d in shown} == {("category", "open_qa")}
    assert manifest.rejected == {"unknown_format": 1}


def test_splits_and_parquet_files(table: Any, imported: Any, tmp_path: Path) -> None:
    datasets.DatasetDict({"test": table}).save_to_disk(tmp_path / "dict")
    with pytest.raises(InputError, match="no split 'train'; it has: test"):
        imported("datasets", tmp_path / "dict", answer="caption")
    _, shown = imported("datasets", tmp_path / "dict", answer="caption", split="test")
    table.to_parquet(tmp_path / "rows.parquet")
    _, same = imported("datasets", tmp_path / "rows.parquet", out="other", answer="caption")
    assert [(d.images, d.answer, d.format) for d in shown] == [(d.images, d.answer, d.format) for d in same]
    assert [d.provenance.record for d in same] == [f"train/{n:08d}" for n in range(4)]


def test_missing_columns_are_one_clear_error(table: Any, imported: Any, tmp_path: Path) -> None:
    table.save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match=r"has no column 'text'; it has: image, label, caption"):
        imported("datasets", tmp_path / "saved")


def test_paths_in_a_table_lead_nowhere_outside_it(imported: Any, tmp_path: Path, picture: Callable[..., bytes]) -> None:
    (tmp_path / "secret.png").write_bytes(picture(1))
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.png").write_bytes(picture(2))
    paths = [str(tmp_path / "secret.png"), "../secret.png", "a.png", str(tmp_path / "set/a.png"), None]
    rows = {"image": paths, "text": ["one", "two", "three", "four", "five"]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "set/rows.parquet")
    manifest, shown = imported("datasets", tmp_path / "set")
    assert [d.answer for d in shown] == ["three", "four"]
    assert manifest.rejected == {"missing_field": 1, "outside_root": 2}


def test_several_images_a_row(imported: Any, tmp_path: Path, picture: Callable[..., bytes]) -> None:
    rows = {"image": [[{"bytes": picture(n), "path": None} for n in range(3)]], "text": ["three pictures"]}
    features = datasets.Features({"image": datasets.List(datasets.Image()), "text": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "many")
    _, [shown] = imported("datasets", tmp_path / "many")
    assert len(shown.images) == 3


def test_junk_is_one_clear_error(imported: Any, tmp_path: Path) -> None:
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"datasets cannot open junk\.parquet"):
        imported("datasets", tmp_path / "junk.parquet")
