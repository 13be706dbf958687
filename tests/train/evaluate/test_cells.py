"""What is asked of a benchmark, and in which order."""

from pathlib import Path

import pytest

from curate.errors import ConfigError
from curate.settings import build
from tests.train.evaluate.tiny_benches import letter_items, tiny_bench, word_items
from train.evaluate.cells import EvaluateSettings, cells_of


def settings(**more: object) -> EvaluateSettings:
    return build(EvaluateSettings, more)


def test_controls_are_asked_by_default_and_zero_shot_once(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, letter_items(3, (0, 1, 2)))
    cells = [(cell.condition, cell.shots) for cell in cells_of([bench], settings())]
    controls = ["full", "text", "shuffled", "swapped"]
    assert cells == [("none", 0)] + [(name, 1) for name in controls] + [(name, 2) for name in controls]


def test_a_benchmark_without_zero_shot_items_gets_them_from_its_fewest_shots_each_question_once(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, letter_items(3, (1, 2)))
    zero = cells_of([bench], settings(shots=[0]))[0]
    assert {item.shots for item in zero.items} == {0}
    assert len(zero.items) == 3 * 2  # two orders of options, and no positions
    assert [cell.condition for cell in cells_of([bench], settings(conditions=["full"]))] == ["full", "full"]


def test_a_limit_keeps_whole_groups_the_same_at_every_number_of_shots(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, letter_items(12, (0, 1, 2)))
    cells = cells_of([bench], settings(limit=4))
    kept = [{item.group for item in cell.items} for cell in cells]
    assert kept == [kept[0]] * len(cells)
    assert len(kept[0]) == 4
    assert len(cells[1].items) == 16
    assert kept[0] != {f"q{at}" for at in range(4)}, "the first in the file are no fair sample"


def test_a_larger_limit_begins_like_a_smaller_one(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, letter_items(12, (1,)))
    few, many, all_of_it = (cells_of([bench], settings(limit=limit))[1].items for limit in (3, 7, None))
    assert many[: len(few)] == few
    assert all_of_it[: len(many)] == many


def test_shots_that_a_benchmark_lacks_are_passed_over_with_a_word(tmp_path: Path) -> None:
    told: list[str] = []
    bench = tiny_bench(tmp_path, letter_items(3, (1,)))
    cells = cells_of([bench], settings(shots=[1, 8], conditions=["full"]), told.append)
    assert [(cell.condition, cell.shots) for cell in cells] == [("full", 1)]
    assert told == ["tiny has no items of 8 shots"]


def test_nothing_to_ask_is_an_error(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, letter_items(3, (1,)))
    with pytest.raises(ConfigError, match="it has 1 shots"):
        cells_of([bench], settings(shots=[8], conditions=["full"]))


def test_two_benchmarks_of_one_name_are_an_error(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, letter_items(3, (1,)))
    with pytest.raises(ConfigError, match="two benchmarks are called tiny"):
        cells_of([bench, bench], settings())


def test_a_control_that_changes_nothing_is_left_out_with_a_word(tmp_path: Path) -> None:
    from dataclasses import replace

    alone = [
        replace(item, episode=replace(item.episode, demonstrations=item.episode.demonstrations[:1]))
        for item in word_items(3, (1,), choices=False)
    ]
    told: list[str] = []
    cells = cells_of([tiny_bench(tmp_path, alone, metric="exact")], settings(), told.append)
    assert [cell.condition for cell in cells] == ["none", "full", "text", "swapped"]
    assert told == ["tiny: shuffled changes nothing at 1 shots, it is left out"]


@pytest.mark.parametrize("bad", [{"conditions": ["fool"]}, {"limit": 0}, {"scoring": "guess"}, {"shots": ["x"]}, {"bogus": 1}])
def test_bad_settings_are_named(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        build(EvaluateSettings, bad)
