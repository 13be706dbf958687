"""`curate bank` with an aggregator of the tests in the model's place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curate.errors import ConfigError, InputError, QualityError
from pipelines.cli import app
from pipelines.commands import bank as command
from tests.train.bank.small_banks import Counting

Draw = Callable[..., bytes]


@pytest.fixture
def place(tmp_path: Path, picture: Draw, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed, name in enumerate(["labelled/cat/0.png", "labelled/dog/1.png", "labelled/dog/2.png", "mixed/bad/3.png"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(seed, size=(40, 30)))
    (tmp_path / "mixed" / "cat").mkdir()
    (tmp_path / "mixed" / "cat" / "0.png").write_bytes(picture(0, size=(40, 30)))
    (tmp_path / "mixed" / "cat" / "torn.png").write_bytes(b"torn")
    monkeypatch.setattr(command, "_aggregator", lambda model: Counting(weights=model))
    return tmp_path


def bank(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["bank", *map(str, arguments)])


def build(place: Path, *arguments: object, model: str = "m") -> Any:
    return bank("build", model, "--demos", place / "labelled", "--out", place / "bank", *arguments)


def test_a_bank_is_built_looked_at_built_again_and_pruned(place: Path) -> None:
    ran = build(place, "--json", "--max-mb", 3)
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert (told["demonstrations"], told["known"], told["aggregated"], told["entries"], told["parts"]) == (3, 0, 3, 3, 1)
    again = build(place)
    assert again.exit_code == 0
    assert "3 demonstrations: 3 known, 0 aggregated, 0 unusable" in again.stderr
    assert build(place, "--batch", 1, model="other").exit_code == 0
    stat = json.loads(bank("stat", place / "bank", "--json").stdout)
    assert (stat["entries"], stat["parts"], stat["max_bytes"], stat["damaged"]) == (6, 4, 3 << 20, [])
    assert {(share["facts"]["weights"], share["entries"], share["parts"]) for share in stat["models"]} == {
        ("m", 3, 1),
        ("other", 3, 3),
    }
    planned = json.loads(bank("prune", place / "bank", "--max-mb", 0, "--dry-run", "--json").stdout)
    assert planned == {"parts": 4, "bytes": stat["bytes"], "left": 0, "dry_run": True}
    assert bank("prune", place / "bank", "--max-mb", 1).exit_code == 0
    assert json.loads(bank("stat", place / "bank", "--json").stdout) == stat
    gone = json.loads(bank("prune", place / "bank", "--max-mb", 0, "--json").stdout)
    assert gone == planned | {"dry_run": False}
    assert json.loads(bank("stat", place / "bank", "--json").stdout)["entries"] == 0


def test_a_dry_run_loads_no_model_and_writes_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_aggregator", None)
    ran = build(place, "--dry-run", "--json")
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert (told["demonstrations"], told["distinct"], told["labels"], told["entries"]) == (3, 3, 2, 0)
    assert not (place / "bank").exists()
    assert "would aggregate those of 3 demonstrations" in build(place, "--dry-run").stderr


def test_a_damaged_part_is_told_and_made_anew(place: Path) -> None:
    build(place)
    (part,) = (place / "bank" / "parts").iterdir()
    part.write_bytes(part.read_bytes()[:-1])
    shown = bank("stat", place / "bank")
    assert shown.exit_code == 0
    assert f"{part.name} is set aside as torn" in shown.stderr
    assert "0 entries in 0 parts" in shown.stderr
    assert "1 damaged files in" in shown.stderr
    assert json.loads(build(place, "--json").stdout)["aggregated"] == 3


def test_what_cannot_be_used_is_counted(place: Path) -> None:
    mixed = ["build", "m", "--demos", place / "mixed", "--out", place / "bank"]
    ran = bank(*mixed)
    assert ran.exit_code == 0, ran.output
    assert "2 demonstrations: 0 known, 2 aggregated, 1 unusable" in ran.stderr
    assert "1 of 3 labelled pictures rejected (1 unknown_format); the first: cat/torn.png" in ran.stderr
    for most, message in ((0.2, "1 of 3 labelled pictures rejected"), (0.4, "1 of 2 demonstrations cannot be used")):
        ran = bank(*mixed, "--max-rejected", most)
        assert isinstance(ran.exception, QualityError), ran.output
        assert message in str(ran.exception)
    (place / "mixed" / "cat" / "0.png").unlink()
    ran = bank(*mixed)
    assert isinstance(ran.exception, QualityError)
    assert "m can use none of 1 demonstrations" in str(ran.exception)


def test_mistakes_are_told(place: Path) -> None:
    for arguments, kind, message in (
        (["stat", place / "none"], InputError, "does not exist"),
        (["stat", place / "labelled"], InputError, "holds no bank"),
        (["prune", place / "none", "--max-mb", 1], InputError, "does not exist"),
        (["build", "m", "--demos", place / "none", "--out", place / "bank"], InputError, "does not exist"),
        (["build", "m", "--demos", place / "labelled", "--out", place / "labelled"], InputError, "holds no bank (cat lies"),
        (["build", "m", "--demos", place / "labelled", "--out", "s3://b/k"], ConfigError, "is a URL"),
    ):
        ran = bank(*arguments)
        assert isinstance(ran.exception, kind), ran.output
        assert message in str(ran.exception)
    assert build(place, "--max-mb", 0).exit_code == 2


def test_tables_say_what_a_person_needs(place: Path) -> None:
    build(place)
    shown = bank("stat", place / "bank").stderr
    assert '"weights": "m"' in shown
    assert "3 entries in 1 parts, 0.0 of 8,192.0 MiB" in shown
    assert "1 parts with 0.0 MiB would go" in bank("prune", place / "bank", "--max-mb", 0, "--dry-run").stderr
