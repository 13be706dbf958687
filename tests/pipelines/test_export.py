"""`curate export` speaks to people and to scripts."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.errors import ConfigError, InputError
from pipelines.cli import app
from tests.train.checkpoint.small_runs import stirred_run
from tests.train.tiny_episodes import mixed_plan
from tests.train.tiny_processors import tiny_processor
from tests.train.tiny_runs import save_tiny_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from curate.storage import Folder

    place = tmp_path_factory.mktemp("exporting")
    base = save_tiny_model(place / "base", "chatml", tiny_processor("chatml"))
    plan = mixed_plan(Folder.of(place), samples=4)
    stirred_run(base, plan, place / "run", steps=(3, 5), stage="align", parts=[], checkpoint={"best": "loss"})
    return place / "run"


@pytest.mark.parametrize(("which", "step"), [("latest", 5), ("best", 3), ("5", 5)])
def test_json_says_what_was_exported(run: Path, tmp_path: Path, which: str, step: int) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["export", str(run), "--out", str(out), "--checkpoint", which, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["step"], told["dtype"], told["lora"]) == (step, "float32", None)
    assert told["files"]["model.safetensors"]["size"] == (out / "model.safetensors").stat().st_size


def test_people_get_a_table(run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(run), "-o", str(tmp_path / "out"), "--dtype", "bfloat16"])
    assert result.exit_code == 0
    assert "exported" in result.stderr
    assert "megabytes" in result.stderr
    assert result.stdout == ""


def test_mistakes_are_told_before_anything_is_written(run: Path, tmp_path: Path) -> None:
    for options, error in ((["--checkpoint", "newest"], ConfigError), (["--checkpoint", "4"], InputError)):
        result = CliRunner().invoke(app, ["export", str(run), "-o", str(tmp_path / "out"), *options])
        assert isinstance(result.exception, error)
    assert list(tmp_path.iterdir()) == []
