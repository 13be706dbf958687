"""Conditions change one thing of an item and leave the rest, alike in all arrangements of a group."""

from pathlib import Path

import pytest

from curate.benches import Bench, Item
from curate.errors import ConfigError
from curate.schema import Shot
from tests.train.evaluate.tiny_benches import letter_items, tiny_bench, word_items
from train.evaluate.controls import Strangers, changes, demonstrations_under


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return tiny_bench(tmp_path_factory.mktemp("b"), letter_items(40, (1, 2), ways=3))


@pytest.fixture(scope="module")
def strangers(bench: Bench) -> Strangers:
    return Strangers(bench)


def meaning(shot: Shot) -> str:
    """What the answer means to whoever reads the options."""
    return shot.options["ABCD".index(shot.answer)]


def test_full_none_and_text_keep_what_they_say(bench: Bench, strangers: Strangers) -> None:
    for item in bench.items[:20]:
        own = item.episode.demonstrations
        assert demonstrations_under("full", item, strangers) == own
        assert demonstrations_under("none", item, strangers) == ()
        bare = demonstrations_under("text", item, strangers)
        assert all(shot.images == () for shot in bare)
        assert [(shot.question, shot.answer) for shot in bare] == [(shot.question, shot.answer) for shot in own]


def test_shuffling_exchanges_meanings_and_keeps_pictures_and_options(bench: Bench, strangers: Strangers) -> None:
    for item in bench.items:
        own, changed = item.episode.demonstrations, demonstrations_under("shuffled", item, strangers)
        assert [(shot.images, shot.question, shot.options) for shot in changed] == [
            (shot.images, shot.question, shot.options) for shot in own
        ]
        assert sorted(map(meaning, changed)) == sorted(map(meaning, own))
        assert all(meaning(shot) == shot.label for shot in changed)


def test_shuffling_leaves_an_answer_in_place_as_often_as_chance(bench: Bench, strangers: Strangers) -> None:
    one = [item for item in bench.items if item.shots == 1]
    groups = {item.group: item for item in one}.values()
    kept = [
        old.label == new.label
        for item in groups
        for old, new in zip(item.episode.demonstrations, demonstrations_under("shuffled", item, strangers), strict=True)
    ]
    assert 0.2 < sum(kept) / len(kept) < 0.47  # a third of 120


@pytest.mark.parametrize("condition", ["shuffled", "swapped"])
def test_a_demonstration_is_changed_alike_in_every_arrangement(bench: Bench, strangers: Strangers, condition: str) -> None:
    found: dict[tuple[str, int, str], set[object]] = {}
    for item in bench.items:
        for old, new in zip(item.episode.demonstrations, demonstrations_under(condition, item, strangers), strict=True):
            key = (item.group, item.shots, old.demonstration_id)
            found.setdefault(key, set()).add(new.label if condition == "shuffled" else new.images)
    assert {len(seen) for seen in found.values()} == {1}


def test_swapped_pictures_are_of_other_concepts_and_the_words_stay(bench: Bench, strangers: Strangers) -> None:
    shows = {shot.images: shot.label for item in bench.items for shot in (*item.episode.demonstrations, item.episode.query)}
    for item in bench.items:
        own, changed = item.episode.demonstrations, demonstrations_under("swapped", item, strangers)
        assert [(shot.question, shot.answer) for shot in changed] == [(shot.question, shot.answer) for shot in own]
        assert {shows[shot.images] for shot in changed}.isdisjoint({shot.label for shot in (*own, item.episode.query)})
        assert len({shot.images for shot in changed}) == len(changed)


def test_a_concept_that_all_items_share_does_not_keep_pictures_from_being_swapped(tmp_path: Path) -> None:
    from dataclasses import replace

    items = [replace(item, episode=replace(item.episode, concept="things")) for item in letter_items(12, (1,))]
    bench = tiny_bench(tmp_path, items)
    for item in bench.items:
        changed = demonstrations_under("swapped", item, Strangers(bench))
        labels = {shot.label for shot in (*item.episode.demonstrations, item.episode.query)}
        pictures = {shot.images: shot.label for i in bench.items for shot in i.episode.demonstrations}
        assert {pictures[shot.images] for shot in changed}.isdisjoint(labels)


def test_where_there_is_nothing_to_swap_in_no_picture_is_shown(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, word_items(1, (1,)))
    changed = demonstrations_under("swapped", bench.items[0], Strangers(bench))
    assert all(shot.images == () for shot in changed)


def test_open_answers_are_exchanged_as_they_are(tmp_path: Path) -> None:
    bench = tiny_bench(tmp_path, word_items(30, (1,), choices=False), metric="exact")
    strangers, exchanged = Strangers(bench), 0
    for item in bench.items:
        own, changed = item.episode.demonstrations, demonstrations_under("shuffled", item, strangers)
        assert sorted(shot.answer for shot in own) == sorted(shot.answer for shot in changed)
        exchanged += own[0].answer != changed[0].answer
    assert 15 <= exchanged <= 45


def test_a_condition_that_changes_nothing_is_known(bench: Bench) -> None:
    item = bench.items[0]
    alone = Item(item.id, item.group, 1, 0, (), ("x",), _only_first(item))
    assert [changes(name, item) for name in ("full", "text", "shuffled", "swapped")] == [True] * 4
    assert not changes("shuffled", alone)
    assert changes("swapped", alone)


def test_an_unknown_condition_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="shuffled"):
        demonstrations_under("shufled", letter_items(1, (1,))[0], None)  # type: ignore[arg-type]


def _only_first(item: Item):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(item.episode, demonstrations=item.episode.demonstrations[:1])
