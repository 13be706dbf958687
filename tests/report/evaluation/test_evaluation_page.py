"""The page of evaluations needs nothing else, shows a fair sample of answers, and lets no text become markup."""

import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from curate.errors import ConfigError, InputError, IntegrityError
from curate.evaluations import Cost, write_costs
from curate.report.evaluation import evaluation_page
from curate.report.evaluation.board import Board
from curate.report.evaluation.gallery import exhibits
from curate.report.evaluation.models import models_of
from curate.report.settings import ReportSettings
from curate.storage import Folder
from pipelines.cli import app
from tests.report.evaluation.conftest import EVIL, World
from tests.report.evaluation.made import bench, evaluation


class Tags(HTMLParser):
    """Collects tags, links, words and the gallery's data."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.places: list[str | None] = []
        self.words = ""
        self.data: dict[str, Any] = {}
        self._script = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.places += [value for name, value in attrs if name in ("src", "href", "srcset", "onerror", "onclick", "style")]
        self._script = "data" if ("id", "data") in attrs else tag if tag in ("script", "style") else ""

    def handle_data(self, data: str) -> None:
        if self._script == "data" and data.strip():
            self.data = json.loads(data)
        elif not self._script:
            self.words += f" {data}"


@pytest.fixture(scope="module")
def page(world: World) -> bytes:
    return evaluation_page(world.places, ReportSettings(max_episodes=60)).html


def test_the_page_loads_nothing_and_names_stay_words(page: bytes) -> None:
    tags = Tags(page)
    assert not tags.tags & {"img", "link", "iframe", "object"}
    assert all(place is not None and place.startswith("#") for place in tags.places)
    assert b"default-src &#39;none&#39;" in page
    assert EVIL in tags.words
    assert EVIL.encode() not in page


def test_the_page_says_what_was_found(page: bytes) -> None:
    words = " ".join(Tags(page).words.split())
    for expected in (
        "3 models on 3 benchmarks",
        "questions and seeds",
        "Gains over before",
        "6 of 18 such scores are above chance",
        "Without a model",
        "Single pictures",
        "what the others are compared with",
    ):
        assert expected in words


def test_equal_evaluations_give_equal_bytes(world: World, page: bytes) -> None:
    assert evaluation_page(world.places, ReportSettings(max_episodes=60)).html == page


def test_no_path_of_this_machine_is_on_the_page(world: World, page: bytes) -> None:
    assert str(Path(world.places[0]).parent).encode() not in page


def test_the_gallery_shows_questions_once_and_rare_cases_beside_frequent_ones(world: World) -> None:
    board = Board.of(models_of(world.places))
    benches = {task: found for task in board.benches if (found := board.bench(task))}
    found = exhibits(board, benches, 36, seed=0)
    assert len(found) == 36
    assert len({(one.task, one.item.group) for one in found}) == 36
    assert {one.task.bench for one in found} == {"emoji", "stamps", "single"}
    patterns = Counter((one.task.label, one.item.shots, one.pattern) for one in found)
    assert max(patterns.values()) <= 2
    assert all(one.item.shots == len(one.item.episode.demonstrations) / 2 for one in found)


def test_cards_say_who_answered_what_and_how_surely(page: bytes) -> None:
    data = Tags(page).data
    card = next(card for card in data["cards"] if len(card["answers"]) == 3 and card["shots"] == "1")
    assert len(card["turns"]) == 3
    right = card["turns"][-1]["answer"]
    for answer in card["answers"]:
        assert answer["right"] == (answer["said"] == right)
        assert answer["share"] == pytest.approx(0.87, abs=0.01)
        assert answer["means"] in card["turns"][-1]["question"]
    assert set(card["outcomes"]) <= set(data["outcomes"])
    assert all(number >= 0 for card in data["cards"] for turn in card["turns"] for number in turn["pictures"])
    assert len(data["pictures"]) == len(set(data["pictures"]))


def test_without_the_benchmarks_there_is_a_page_without_pictures(tmp_path: Path) -> None:
    made = bench(tmp_path / "benches", "gone", (1,), 4)
    place = evaluation(tmp_path / "run", [made], {1: 0.7})
    (tmp_path / "benches" / "gone" / "bench.json").unlink()
    found = evaluation_page([str(place)])
    assert (found.shown, found.pictures) == (0, 0)
    assert "folders were not found" in Tags(found.html).words


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    made = bench(tmp_path / "benches", "part", (1,), 6)
    place = evaluation(tmp_path / "run", [made], {1: 0.7})
    ref = made.items[0].episode.query.images[0].ref
    next((tmp_path / "benches").rglob(f"*{ref}")).write_bytes(b"not a picture")
    assert evaluation_page([str(place)]).missing_pictures == 1


@pytest.mark.parametrize(
    "harm",
    [
        {"right": float("nan")},
        {"scores": [float("nan"), 1]},
        {"choice": 7},
        {"item": [1]},
        {"group": 3},
        {"scores": [1e999, 0]},
    ],
)
def test_damaged_answers_break_nothing(tmp_path: Path, harm: dict[str, Any]) -> None:
    made = bench(tmp_path / "benches", "b", (1,), 6)
    places = [evaluation(tmp_path / f"run-seed-{seed}", [made], {1: 0.7}, seed) for seed in (1, 2)]
    other = evaluation(tmp_path / "other", [made], {1: 0.7})
    file = places[0] / "answers" / "b" / "full-1.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps(json.loads(lines[0]) | harm), *lines[1:]]) + "\n")
    found = evaluation_page([str(other), *map(str, places)])
    json.dumps(Tags(found.html).data, allow_nan=False)
    assert found.shown == 6


def test_a_size_limit_ends_the_gallery(world: World) -> None:
    whole = evaluation_page(world.places, ReportSettings(max_episodes=40))
    least = len(evaluation_page(world.places, ReportSettings(max_episodes=0)).html)
    cut = evaluation_page(world.places, ReportSettings(max_episodes=40, max_megabytes=(least + 40_000) / 1e6))
    assert 0 < cut.shown < whole.shown
    assert len(cut.html) <= least + 40_000
    assert "size limit left out" in Tags(cut.html).words


def test_a_page_of_one_model_compares_nothing(world: World) -> None:
    words = Tags(evaluation_page(world.places[:1], ReportSettings(max_episodes=3)).html).words
    assert "Gains over" not in words
    assert "models differ" not in words


def curate(*words: str) -> Result:
    return CliRunner().invoke(app, ["report", *words], catch_exceptions=True)


def test_the_command_knows_evaluations(world: World, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    told = curate(*world.places, "--out", str(out), "--json", "--max-episodes", "5", "--against", "tuned")
    assert json.loads(told.stdout) | {"report": "", "bytes": 0, "pictures": 0} == {
        "report": "", "bytes": 0, "models": 3, "benchmarks": 3, "shown": 5, "pictures": 0, "missing_pictures": 0,
    }  # fmt: skip
    assert "Gains over tuned" in " ".join(Tags(out.read_bytes()).words.split())
    assert curate(*world.places[:2], "--out", str(out), "--max-episodes", "0", "--against", "tuned").exit_code == 0
    assert "3 models on 3 benchmarks" in curate(*world.places, "--out", str(out), "--max-episodes", "0").output


def test_mistakes_are_told(world: World, tmp_path: Path) -> None:
    mixed = curate(world.places[0], str(tmp_path)).exception
    assert isinstance(mixed, InputError)
    assert "is no evaluation" in str(mixed)
    unknown = curate(*world.places, "--against", "nobody").exception
    assert isinstance(unknown, InputError)
    assert "there are before, tuned" in str(unknown)
    (tmp_path / "run").mkdir()
    assert isinstance(curate(str(tmp_path / "run"), "--against", "x").exception, ConfigError)
    assert isinstance(curate(world.places[0], "--out", str(tmp_path)).exception, InputError)


def test_costs_stand_beside_each_other_where_they_were_measured(world: World, tmp_path: Path) -> None:
    one, other = (evaluation(tmp_path / name, world.benches[:1], {4: 0.6}) for name in ("whole", "fused"))
    assert "What a question costs" not in Tags(evaluation_page([str(one), str(other)]).html).words
    name = world.benches[0].name
    spent = [Cost(name, "full", 4, state, 8, 1234.4, seconds, 5.6, 2.0) for state, seconds in (("cold", 0.35), ("warm", 0.12))]
    write_costs(Folder.of(one), spent)
    words = Tags(evaluation_page([str(one), str(other)]).html).words
    assert "1,234 tokens" in words
    assert "cold 350 ms, 6 MiB; warm 120 ms, 6 MiB" in words
    for harm in ('{"rows": [{}]}', "\xff", (one / "costs.json").read_text().replace("0.35", '"<b>"')):
        (one / "costs.json").write_text(harm)
        with pytest.raises(IntegrityError, match=r"costs\.json is damaged; run curate evaluate --costs again"):
            evaluation_page([str(one)])


def test_without_questions_at_zero_shots_there_is_no_table_of_them(world: World, tmp_path: Path) -> None:
    only = evaluation(tmp_path / "only", [bench(tmp_path / "bench", "few", (1, 2))], {2: 0.6}, conditions=())
    assert "Without demonstrations" not in Tags(evaluation_page([str(only)]).html).words
    assert "Without demonstrations" in Tags(evaluation_page(world.places).html).words
