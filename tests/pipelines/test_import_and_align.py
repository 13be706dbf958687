"""`curate import`, `curate align` and `curate export-llava` as a person types them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.errors import ConfigError, InputError, QualityError
from pipelines.cli import app


@pytest.fixture
def source(tmp_path: Path, picture: Callable[..., bytes]) -> Path:
    for n in range(4):
        folder = tmp_path / "stamps" / f"class_{n % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.png").write_bytes(picture(n))
        (folder / f"{n}.txt").write_text(f"Picture {n}.")
    return tmp_path / "stamps"


def curate(*words: object) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.exception


def test_import_answers_with_counts_and_its_folder(source: Path, tmp_path: Path) -> None:
    code, out, _ = curate("import", "captions", source, "--out", tmp_path / "run", "-j", 1, "--json")
    said = json.loads(out)
    assert (code, said["counts"]) == (0, {"in": 4, "out": 4, "dropped": 0, "rejected": 0})
    assert (tmp_path / "run/demonstrations/stamps/manifest.json").exists()
    code, out, _ = curate("export-llava", tmp_path / "run", "--to", tmp_path / "llava", "--json")
    assert json.loads(out)["demonstrations"] == 4
    assert len(json.loads((tmp_path / "llava/llava.json").read_text())) == 4


def test_a_dry_run_shows_the_settings_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    code, out, _ = curate("import", "classes", source, "--out", tmp_path / "run", "--set", "licence=MIT", "--dry-run")
    assert (code, json.loads(out)["licence"]) == (0, "MIT")
    assert not (tmp_path / "run").exists()


def test_too_many_rejections_decide_the_exit_code(source: Path, tmp_path: Path) -> None:
    (source / "class_0/0.png").write_bytes(b"junk")
    wanted = ("import", "classes", source, "--out", tmp_path / "run", "-j", 1)
    assert curate(*wanted, "--max-rejected", 0.5)[0] == 0
    assert isinstance(curate(*wanted, "--max-rejected", 0.1)[2], QualityError)


def test_mistakes_are_one_line(source: Path, tmp_path: Path) -> None:
    run = ("--out", tmp_path / "run")
    assert isinstance(curate("import", "caption", source, *run)[2], ConfigError)
    assert isinstance(curate("import", "captions", source, *run, "--set", "encodin=x")[2], ConfigError)
    assert isinstance(curate("import", "captions", tmp_path / "none", *run)[2], InputError)
    assert isinstance(curate("align", tmp_path / "run", "--encoder", "none")[2], InputError)


PAGE = """<html lang="en"><title>Fields</title><main><h1>Fields</h1><p>{prose}</p>
<figure><img src="a.png"><figcaption>A field of boxes at noon</figcaption></figure><p>{prose}</p></main></html>"""


def test_pages_become_demonstrations_by_their_captions(source: Path, tmp_path: Path, picture: Callable[..., bytes]) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    prose = "The boxes in the field are of many colours and stand where the dice have put them, as they should. " * 3
    (pages / "index.html").write_text(PAGE.format(prose=prose))
    (pages / "a.png").write_bytes(picture(5, size=(300, 200)))
    assert curate("mine", pages, "--out", tmp_path / "run", "--preset", "none", "-j", 1)[0] == 0
    code, out, _ = curate("align", tmp_path / "run", "--encoder", "none", "-j", 1, "--json")
    assert (code, json.loads(out)["counts"]["out"]) == (0, 1)
