"""Trees of lines, lines of asks, and what is remembered of pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.evaluate.reader_asks import LETTERS, NAMES, ask, asks, reader, shot
from train.evaluate.records import Ask, Picture
from train.evaluate.sight import Sight
from train.evaluate.trees import tree_of
from train.evaluate.ways import Quick, batches, one_by_one, unit_of

LINES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=5)


@given(LINES)
def test_in_a_tree_each_line_sees_itself_and_nothing_else(branches: list[list[int]]) -> None:
    """What stands at the positions that a wanted token's position sees is the line up to it."""
    lines = [np.array([7, 8, *branch]) for branch in branches]
    tree = tree_of(lines, [2] * len(lines))
    ids, depth = tree.gathered(lines), tree.gathered([np.arange(len(line))[None] for line in lines])[0]
    seen = tree.seen
    assert tree.chain == np.array_equal(seen, np.tri(len(tree)))
    for line, node, token in zip(tree.line, tree.node, tree.token, strict=True):
        beneath = np.flatnonzero(seen[node])
        assert ids[beneath].tolist() == lines[line][: depth[node] + 1].tolist()
        assert token == lines[line][depth[node] + 1]
    assert np.bincount(tree.line, minlength=len(lines)).tolist() == [len(branch) for branch in branches]
    assert len(tree) == len({tuple(line[:stop]) for line in lines for stop in range(1, len(line))})


def test_choices_of_one_token_leave_the_bare_prompt() -> None:
    lines = reader()._lines.of_choices(ask(1, 2, LETTERS))
    unit = unit_of(0, (0, 1), lines)
    assert unit.tree.chain
    assert len(unit) == lines[0].start == len(lines[0]) - 1


def test_a_line_ends_with_its_choice() -> None:
    for name in ("vicuna", "llama", "chatml", "qwen", "idefics"):
        one = reader(name) if name != "llama" else None
        lines = (one or _llama())._lines
        for choice in (*NAMES, "A"):
            line = lines.of(ask(1), choice)
            assert lines.text(line.ids[line.start :].tolist()) == choice


def _llama():  # type: ignore[no-untyped-def]
    from tests.train.tiny_models import tiny_model
    from tests.train.tiny_processors import tiny_processor
    from train.data.rendering import Renderer
    from train.evaluate.reader import VlmReader

    processor = tiny_processor("llama")
    return VlmReader(tiny_model("vicuna", processor), Renderer(processor))


def test_a_prompt_is_what_stands_before_every_choice() -> None:
    lines = reader()._lines
    prompt = lines.prompt(ask(1, 2))
    for line in lines.of_choices(ask(1, 2, NAMES)):
        assert line.ids[: line.start].tolist() == prompt.ids.tolist()


def test_batches_hold_units_of_like_length_within_their_budget() -> None:
    one = reader()
    units = [
        unit for number, question in enumerate(asks()) for unit in one._way.units(number, one._lines.of_choices(question))
    ]
    for budget in (1, 200, 500, 10_000):
        made = list(batches(units, budget))
        assert sorted(unit.number for batch in made for unit in batch) == sorted(unit.number for unit in units)
        for batch in made:
            assert len(batch) == 1 or len(batch) * max(map(len, batch)) <= budget
            assert len({unit.tree.chain for unit in batch}) == 1


def test_a_tree_beyond_a_sliding_window_is_read_line_by_line() -> None:
    one = reader()
    lines = one._lines.of_choices(ask(1, 1, NAMES))
    assert isinstance(one._way, Quick)
    one._way._language.window = 8
    assert [unit.choices for unit in one._way.units(0, lines)] == [(0,), (1,), (2,)]
    assert len(one_by_one(0, lines)) == 3


# What is remembered of pictures.


def sight_of(question: Ask, room: int = 1 << 20) -> tuple[Sight, list[Picture]]:
    one = reader()
    pictures = [picture for turn in (*question.demonstrations, question.query) for picture in turn.pictures]
    return Sight(one._model, one._renderer.processor, one._lines.slots, room), pictures


def test_a_picture_is_looked_at_once() -> None:
    sight, pictures = sight_of(ask(1, 3))
    first = sight.of(pictures)
    assert sight.computed == len(pictures) == 4
    assert sight.of([*pictures, pictures[0]]) == first
    assert sight.computed == 4


def test_what_is_kept_is_bounded_and_the_latest_stays() -> None:
    sight, pictures = sight_of(ask(1, 3))
    one = next(iter(sight.of(pictures[:1]).values()))
    small, _ = sight_of(ask(1, 3), room=2 * one.features.numel() * 4)  # type: ignore[union-attr]
    assert set(small.of(pictures)) == {picture.ref for picture in pictures}
    assert list(small._kept) == [picture.ref for picture in pictures[-2:]]
    none, _ = sight_of(ask(1, 3), room=0)
    none.of(pictures)
    assert not none._kept
    assert none._held == 0


@pytest.mark.parametrize("name", ["vicuna", "qwen", "idefics"])
def test_scores_are_the_same_with_and_without_memory(name: str) -> None:
    one, forgetful = reader(name), reader(name, cache_mb=0)
    once = one.likelihoods(asks())
    again, without = one.likelihoods(asks()), forgetful.likelihoods(asks())
    for row, other, third in zip(once, again, without, strict=True):
        assert other == pytest.approx(row, abs=1e-5)
        assert third == pytest.approx(row, abs=1e-5)


def test_a_bad_picture_is_told_and_not_kept() -> None:
    sight, pictures = sight_of(ask(1, 1))
    torn = Picture("0" * 64 + ".png", b"", 40, 40)
    found = sight.of([*pictures, torn, *shot(5).pictures])
    assert str(found[torn.ref])
    assert torn.ref not in sight._kept
    assert sight.computed == 3
