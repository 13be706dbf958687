"""`curate report` writes the page, says what it shows, and tells mistakes in one line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from curate.engine import StageManifest
from curate.errors import ConfigError, InputError
from curate.layout import Run
from pipelines.cli import app


def curate(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), catch_exceptions=True)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with one stage that dropped something."""
    run = Run.at(tmp_path / "run")
    counts = {"in": 9, "out": 7, "dropped": 2, "rejected": 0}
    StageManifest("mine", "0.1/1", {}, {}, {}, counts, {"too_few_words": 2}).save(run.root / "documents/manual")
    return run


def test_the_page_lies_in_the_run(run: Run) -> None:
    told = curate("report", run.root.uri)
    assert told.exit_code == 0
    assert "report.html" in told.stderr
    assert told.stdout == ""
    assert b"too few words" in run.root.read("report.html")


def test_json_goes_to_standard_output_and_the_page_where_it_was_asked_for(run: Run, tmp_path: Path) -> None:
    told = curate("report", run.root.uri, "--out", str(tmp_path / "page.html"), "--max-episodes", "5", "--json")
    facts = json.loads(told.stdout)
    assert facts["bytes"] == (tmp_path / "page.html").stat().st_size
    assert (facts["episodes"], facts["shown"], facts["missing_pictures"]) == (0, 0, 0)
    assert not run.root.exists("report.html")


def test_mistakes_are_told(run: Run, tmp_path: Path) -> None:
    assert isinstance(curate("report", str(tmp_path / "nothing")).exception, InputError)
    wrong = curate("report", run.root.uri, "--set", "thumbnails=3").exception
    assert isinstance(wrong, ConfigError)
    assert "did you mean 'thumbnail'?" in str(wrong)
    assert curate("report", run.root.uri, "--max-episodes", "-1").exit_code == 2
