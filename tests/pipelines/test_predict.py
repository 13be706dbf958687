"""`curate predict` from a folder of labelled pictures to a file, with a real (tiny) model."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curate.errors import ConfigError, InputError, QualityError
from pipelines.cli import app
from tests.train.tiny_processors import tiny_processor
from tests.train.tiny_runs import save_tiny_model
from train.evaluate import Predictor

Draw = Callable[..., bytes]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("vicuna"), "vicuna", tiny_processor("vicuna"))


@pytest.fixture
def place(tmp_path: Path, picture: Draw) -> Path:
    for seed, name in enumerate(["labelled/cat/0.png", "labelled/dog/1.png", "photos/a.png", "photos/b.png", "photos/c.png"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(seed, size=(40, 30)))
    (tmp_path / "photos" / "torn.jpg").write_bytes(b"no picture")
    return tmp_path


def predict(model: object, place: Path, *arguments: object) -> Any:
    fixed = ["predict", model, "--demos", place / "labelled", "--images", place / "photos", "--set", "reader.threads=1"]
    return CliRunner().invoke(app, list(map(str, [*fixed, *arguments])))


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_folder_gets_labels_and_a_second_run_finds_nothing_to_do(model: Path, place: Path, kind: str) -> None:
    out = place / f"said.{kind}"
    ran = predict(model, place, "--out", out, "--shots", 1, "--json")
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert (told["pictures"], told["predicted"], told["new"], told["rejected"]) == (4, 3, 3, {"unknown_format": 1})
    text = out.read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text))) if kind == "csv" else [json.loads(line) for line in text.splitlines()]
    assert [row["image"] for row in rows] == ["a.png", "b.png", "c.png"]
    assert {row["label"] for row in rows} <= {"cat", "dog"}
    again = predict(model, place, "--out", out, "--shots", 1)
    assert again.exit_code == 0
    assert "3 rows, 0 of them new, 1 rejected, 1 unknown_format" in again.stderr
    assert out.read_bytes().decode() == text


def test_the_model_writes_where_labels_are_open_and_letters_stand_for_labels(model: Path, place: Path) -> None:
    ran = predict(model, place, "--out", place / "o.jsonl", "--labels", "open", "--shots", 1, "--set", "max_new_tokens=3")
    assert ran.exit_code == 0, ran.output
    assert all(row["score"] is None for row in map(json.loads, (place / "o.jsonl").read_text().splitlines()))
    ran = predict(model, place, "--out", place / "l.jsonl", "--letters", "--calibrate", "--shots", 1)
    assert ran.exit_code == 0, ran.output
    assert all(set(row["scores"]) == {"cat", "dog"} for row in map(json.loads, (place / "l.jsonl").read_text().splitlines()))


def test_five_lines_of_python_say_the_same(model: Path, place: Path) -> None:
    predict(model, place, "--out", place / "said.jsonl", "--shots", 1)
    predictor = Predictor.load(str(model), place / "labelled", shots=1)
    said = [one.label for one in predictor.predict(place / "photos") if hasattr(one, "label")]
    assert said == [json.loads(line)["label"] for line in (place / "said.jsonl").read_text().splitlines()]


def test_a_dry_run_loads_no_model(place: Path) -> None:
    ran = predict("nowhere", place, "--out", place / "x.csv", "--dry-run", "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["labels"] == {"cat": 1, "dog": 1}
    assert not (place / "x.csv").exists()


def test_mistakes_are_told(model: Path, place: Path) -> None:
    for arguments, kind, message in (
        (["--out", place / "x.txt"], ConfigError, "neither in .jsonl nor in .csv"),
        (["--out", place / "x.csv", "--set", "shotz=3"], ConfigError, "did you mean 'shots'"),
        (["--out", place / "x.csv", "--ways", 2], ConfigError, "ways: goes with"),
        (["--out", place / "y.csv", "--max-rejected", 0.1], QualityError, "1 of 4 pictures rejected (1 unknown_format)"),
        (["--out", place / "z.csv", "--images", place / "none"], InputError, "does not exist"),
    ):
        ran = predict(model, place, *arguments)
        assert isinstance(ran.exception, kind), ran.output
        assert message in str(ran.exception)


def test_what_to_know_of_labels_is_said(model: Path, place: Path, picture: Draw) -> None:
    (place / "labelled" / "catfish").mkdir()
    (place / "labelled" / "catfish" / "x.png").write_bytes(picture(9))
    (place / "labelled" / "catfish" / "bad.png").write_bytes(b"")
    ran = predict("nowhere", place, "--out", place / "x.csv", "--dry-run")
    assert "'cat' begins 'catfish' and can never be less likely" in ran.stderr
    assert "1 of 4 labelled pictures rejected (the first: catfish/bad.png: empty)" in ran.stderr
