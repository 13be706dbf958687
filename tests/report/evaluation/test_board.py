"""The board says what the results say: seeds fold, zero-shot has one score, damaged rows stay out, gains are paired."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curate.errors import InputError
from curate.evaluations import Evaluation, write_rows
from curate.report.evaluation.board import Board, Task
from curate.report.evaluation.controls import above_chance, controls, skill
from curate.report.evaluation.gains import gains_of, paired
from curate.report.evaluation.models import models_of
from curate.report.evaluation.scores import bands, charts, gain_cell, numbers
from curate.statistics import compare
from curate.storage import Folder
from tests.report.evaluation.conftest import World
from tests.report.evaluation.made import answered, bench, cell, evaluation


@pytest.fixture(scope="module")
def board(world: World) -> Board:
    return Board.of(models_of(world.places))


def task(board: Board, name: str) -> Task:
    return next(task for task in board.tasks if task.bench == name)


def test_runs_that_differ_in_their_seed_are_one_model(board: Board) -> None:
    assert [(model.name[:5], len(model.runs)) for model in board.models] == [("befor", 1), ("tuned", 3), ("cheat", 1)]


def test_a_single_seed_and_other_endings_keep_their_names(tmp_path: Path) -> None:
    benches = [bench(tmp_path, "b", (1,), 2)]
    for name in ("icl-seed-1", "layers2", "v-s3"):
        evaluation(tmp_path / name, benches, {1: 0.5}, conditions=())
    places = [str(tmp_path / name) for name in ("icl-seed-1", "layers2", "v-s3")]
    assert [model.name for model in models_of(places)] == ["icl-seed-1", "layers2", "v-s3"]


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    benches = [bench(tmp_path, "b", (1,), 2)]
    places = [evaluation(tmp_path / arm / seed, benches, {1: 0.5}, conditions=(), name="model")
              for arm in ("flat", "icl") for seed in ("seed-1", "seed-2")]  # fmt: skip
    assert [(model.name, len(model.runs)) for model in models_of([str(p) for p in places])] == [("flat", 2), ("icl", 2)]


def test_more_models_than_colours_are_refused(tmp_path: Path) -> None:
    benches = [bench(tmp_path, "b", (1,), 2)]
    names = "abcdefghi"
    places = [str(evaluation(tmp_path / name, benches, {1: 0.5}, conditions=())) for name in names]
    with pytest.raises(InputError, match="at most 8"):
        models_of(places)


def test_a_single_run_has_the_figures_of_its_row(board: Board) -> None:
    before, emoji = board.models[0], task(board, "emoji")
    row, score = before.runs[0].row("emoji", "full", 4), board.score(before, emoji, "full", 4)
    assert row is not None
    assert score is not None
    assert (score.value, score.low, score.high, score.invariant) == (row.score, row.low, row.high, row.invariant)


def test_seeds_give_their_mean_and_an_interval_around_it(board: Board) -> None:
    tuned, emoji = board.models[1], task(board, "emoji")
    score = board.score(tuned, emoji, "full", 4)
    assert score is not None
    assert len(set(score.runs)) > 1
    assert score.value == pytest.approx(sum(score.runs) / 3)
    assert score.low < min(score.runs) < score.value < score.high


def test_zero_shot_is_one_score_under_two_names(board: Board) -> None:
    model = board.models[0]
    for name in ("emoji", "stamps"):  # one has items of 0 shots, the other was asked without its demonstrations
        found = task(board, name)
        assert found.shots[0] == 0
        assert board.score(model, found, "none", 0) == board.score(model, found, "full", 0) is not None
    assert [board.stored(model, task(board, name), 0) for name in ("emoji", "stamps")] == ["full", "none"]


def test_the_focus_is_the_largest_number_of_shots_that_all_were_asked(world: World, tmp_path: Path) -> None:
    few = evaluation(tmp_path / "few", [world.benches[0]], {1: 0.5})
    Folder.of(few)
    rows = [row for row in Evaluation.open(few).rows if row.shots < 4]
    write_rows(Folder.of(few), rows)
    board = Board.of(models_of([world.places[0], str(few)]))
    assert board.focus(task(board, "emoji")) == 1
    assert board.focus(task(board, "stamps")) == 2


def test_controls_stand_at_the_shots_that_they_were_asked_at(world: World, tmp_path: Path) -> None:
    place = evaluation(tmp_path / "run", world.benches[:1], {4: 0.6})
    rows = [replace(row, shots=1) if row.condition in ("text", "shuffled") else row for row in Evaluation.open(place).rows]
    write_rows(Folder.of(place), [row for row in rows if row.condition != "swapped"])
    board = Board.of(models_of([str(place)]))
    assert (board.focus(board.tasks[0]), board.control_focus(board.tasks[0])) == (4, 1)


def test_gains_are_paired_and_agree_with_the_statistics(world: World) -> None:
    board = Board.of(models_of([world.places[0], world.places[1]]))
    before, tuned = board.models
    emoji = task(board, "emoji")
    gains = gains_of(board, before, [emoji], {emoji: 4})
    gain = gains.of[tuned.series, emoji]
    mine, theirs = (model.runs[0].answers("emoji", "full", 4) for model in (tuned, before))
    known = compare([a.right for a in mine], [a.right for a in theirs], [a.group for a in mine])
    assert gain.value == pytest.approx(known.difference)
    assert (gain.low, gain.high) == (pytest.approx(known.low, abs=0.015), pytest.approx(known.high, abs=0.015))
    assert gain.p == pytest.approx(known.p)
    assert gain.sure == 1


def test_gains_of_several_seeds_have_a_mean_over_benchmarks(board: Board) -> None:
    tasks = [task(board, name) for name in ("emoji", "stamps")]
    gains = gains_of(board, board.models[0], tasks, {one: board.focus(one) for one in tasks})
    mean = gains.means[1, ""]
    assert mean.value == pytest.approx(sum(gains.of[1, one].value for one in tasks) / 2)
    assert mean.low is not None
    assert 0.1 < mean.low < mean.value
    assert gain_cell(mean).kind == "good"
    assert gain_cell(mean).said.startswith("+")


def test_other_questions_are_not_paired(world: World, tmp_path: Path) -> None:
    first = world.benches[0]
    part = tmp_path / "part"
    evaluation(part, [first], {4: 0.9}, conditions=())
    asked = [item for item in first.items if item.shots == 4][:40]
    answers = [answered(item, 0.9, random.Random(1)) for item in asked]
    rows = [row for row in Evaluation.open(part).rows if row.shots != 4]
    write_rows(Folder.of(part), [*rows, cell(Folder.of(part), first, "full", 4, answers)])
    board = Board.of(models_of([world.places[0], str(part)]))
    emoji = task(board, "emoji")
    assert paired(board, board.models[1], board.models[0], emoji, 4) == []
    gain = gains_of(board, board.models[0], [emoji], {emoji: 4}).of[1, emoji]
    assert (gain.low, gain.p, gain.sure) == (None, None, 0)


def test_controls_above_chance_are_counted(board: Board) -> None:
    tasks = [task(board, name) for name in ("emoji", "stamps")]
    found = controls(board, tasks, {one: board.focus(one) for one in tasks})
    failed = {name for control in found for name, _, figures, _ in control.rows for f in figures if f and f.failed}
    assert {name[:5] for name in failed} == {"cheat"}
    assert above_chance(found) == (6, 18)
    assert dict(found[0].baselines)["kNN"] == "88.0"
    assert found[0].heads[:2] == ["as they are", "every arrangement"]
    assert "nearest 70 %" in found[0].rows[0][3]


def test_skill_without_demonstrations_is_beside_the_reference(board: Board) -> None:
    single = task(board, "single")
    assert single.alone
    gains = gains_of(board, board.models[0], [single], {single: 0})
    (name, chance, cells), *rest = skill(board, [single], gains).rows
    assert (name, chance, rest) == ("single", "50.0", [])
    assert cells[0][1] is None
    assert cells[1][1] is not None


def test_every_number_of_shots_has_a_row(board: Board) -> None:
    assert [(name, shots) for name, shots, _ in numbers(board)] == [
        ("emoji", "0"), ("emoji", "1"), ("emoji", "4"), ("stamps", "0"), ("stamps", "1"), ("stamps", "2"), ("single", "0"),
    ]  # fmt: skip
    assert {len(cells) for *_, cells in numbers(board)} == {2 + len(board.models)}


def test_captions_have_their_own_axis_and_enter_no_mean(world: World, tmp_path: Path) -> None:
    place = evaluation(tmp_path / "captions", world.benches[:1], {4: 0.6})
    rows = Evaluation.open(place).rows
    graded = [replace(r, bench="words", digest="d", metric=m, score=s, low=s - 0.1, high=s + 0.1, chance=None, invariant=None)
              for r in rows if r.condition == "full" for m, s in (("cider", 2.3), ("rouge-l", 0.4))]  # fmt: skip
    write_rows(Folder.of(place), [*rows, *graded])
    board = Board.of(models_of([str(place)]))
    assert [one.label for one in board.tasks] == ["emoji", "words, cider", "words, rouge-l"]
    assert len(board.benches) == 2
    words = board.tasks[1]
    assert (words.said(2.3), words.top, words.is_accuracy) == ("2.30", 3.0, False)
    assert [band.name for band in bands(board, board.benches, dict.fromkeys(board.tasks, 4))[0]] == ["emoji"]
    assert len(charts(board, board.tasks)) == 3


def test_versions_of_a_benchmark_stand_apart(world: World, tmp_path: Path) -> None:
    other = bench(tmp_path, "emoji", (0, 1, 4), 20)
    place = evaluation(tmp_path / "other", [other], {4: 0.9})
    board = Board.of(models_of([world.places[0], str(place)]))
    assert len([one for one in board.tasks if one.bench == "emoji"]) == 2
    assert any("different versions of emoji" in warning for warning in board.warnings)


@pytest.mark.parametrize(
    "harm",
    [{"score": "high"}, {"score": float("nan")}, {"shots": -1}, {"condition": "x"}, {"baselines": []}, {"chance": "1/2"},
     {"items": 1.5}, {"bench": None}, {"low": 1e300}, {"baselines": {"knn": None}}],
)  # fmt: skip
def test_damaged_rows_are_left_out_and_told(world: World, tmp_path: Path, harm: dict[str, Any]) -> None:
    place = evaluation(tmp_path / "run", world.benches[:1], {4: 0.6})
    results = json.loads((place / "results.json").read_text())
    results["rows"][0] |= harm
    (place / "results.json").write_text(json.dumps(results))
    board = Board.of(models_of([str(place)]))
    assert board.warnings == ["run: 1 rows of results.json are damaged and left out"]


def test_an_unfinished_evaluation_is_told_and_alone_refused(world: World, tmp_path: Path) -> None:
    place = evaluation(tmp_path / "run", world.benches[:1], {4: 0.6})
    (place / "results.json").unlink()
    with pytest.raises(InputError, match="no evaluation has a result yet"):
        Board.of(models_of([str(place)]))
    board = Board.of(models_of([world.places[0], str(place)]))
    assert board.warnings == ["run has no results yet; its evaluation is not finished"]


def test_items_that_did_not_fit_are_told(world: World, tmp_path: Path) -> None:
    place = evaluation(tmp_path / "run", world.benches[:1], {4: 0.6})
    write_rows(Folder.of(place), [replace(row, skipped=7 * (row.shots == 4)) for row in Evaluation.open(place).rows])
    warnings = Board.of(models_of([str(place)])).warnings
    assert warnings == ["run: 7 of 120 items of emoji at 4 shots did not fit the model and count as wrong"]
