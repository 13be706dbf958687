"""`curate embed` from the shell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curate.errors import ConfigError, QualityError
from curate.layout import Run
from pipelines.cli import app

MakeRun = Callable[[Any], Run]


def embed(run: Run, *options: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["embed", run.root.uri, "-j", "1", "--json", *options], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_embeds_and_answers_in_json(make_run: MakeRun, picture: Callable[..., bytes], tiny_folder: Path) -> None:
    run = make_run([([picture(1)], "one"), ([b"noise"], "two")])
    name = f"open_clip:local-dir:{tiny_folder}"
    plan = embed(run, "--encoder", name, "--dry-run")
    assert plan["records"] == 2
    assert not run.embeddings.exists()
    assert embed(run, "--encoder", name)["counts"] == {"in": 2, "out": 1, "dropped": 0, "rejected": 1}
    with pytest.raises(QualityError, match="1 of 2"):
        embed(run, "--encoder", name, "--max-rejected", "0.4")


def test_a_misspelt_setting_or_encoder_is_told_before_any_work(make_run: MakeRun, picture: Callable[..., bytes]) -> None:
    run = make_run([([picture(1)], "one")])
    with pytest.raises(ConfigError, match="did you mean 'encoder'"):
        embed(run, "--set", "encodr=offline")
    with pytest.raises(ConfigError, match="did you mean 'offline'"):
        embed(run, "--encoder", "offlin")
