"""`curate show-batch` on a plan with a real processor: text, JSON, a page, and mistakes in one line."""

import json
from pathlib import Path

import pytest

from curate.shards.plans import Plan
from curate.storage import Folder
from pipelines.cli import main
from tests.train.tiny_episodes import mixed_plan
from tests.train.tiny_processors import tiny_processor


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A plan's folder and a processor's."""
    folder = tmp_path_factory.mktemp("show")
    plan: Plan = mixed_plan(Folder.of(folder), samples=12)
    tiny_processor("qwen").save_pretrained(folder / "model")
    return plan.folder.uri, str(folder / "model")


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["curate", "show-batch", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_prints_rows_for_a_person(
    places: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, model = places
    assert call(monkeypatch, plan, "-m", model, "--max-tokens", "400", "--rows", "1", "--batch", "2") == 0
    out = capsys.readouterr().out
    assert out.startswith("row 0: ")
    assert "[image 0: " in out
    assert "[[" in out
    assert "row 1" not in out


def test_json_has_every_piece(
    places: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, model = places
    options = ("--max-tokens", "400", "--mode", "images_first", "--loss", "last", "--json", "--step", "1", "--batch", "2")
    assert call(monkeypatch, plan, "-m", model, *options) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["step"] == 1
    assert told["samples"] == 12
    episodes = [episode for row in told["rows"] for episode in row["episodes"]]
    assert episodes
    assert all(sum(piece["tokens"] for piece in episode["pieces"]) == episode["tokens"] for episode in episodes)
    assert all(len([piece for piece in episode["pieces"] if piece["weight"]]) == 1 for episode in episodes)


def test_a_page_is_written(places: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan, model = places
    page = tmp_path / "batch.html"
    assert call(monkeypatch, plan, "-m", model, "--html", str(page), "--no-packing") == 0
    assert "<mark" in page.read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--mode", "sideways"), "mode"),
        (("--step", "999"), "no step 999"),
        (("-m", "./nowhere"), "does not exist"),
        (("--max-tokens", "5"), "can be used (12 too_long); raise max_tokens"),
    ],
)
def test_mistakes_are_one_line(
    places: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    says: str,
) -> None:
    plan, model = places
    assert call(monkeypatch, plan, "-m", model, *options) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert says in line
