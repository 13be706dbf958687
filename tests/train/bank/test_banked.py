"""What was aggregated once is not aggregated again, and equals what would be made anew."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import StorageError
from tests.train.bank.small_banks import FACTS, Counting, parts, turn
from train.bank import Bank, Banked
from train.evaluate.records import Turn


def same(left: list[torch.Tensor | None], right: list[torch.Tensor | None]) -> bool:
    pairs = list(zip(left, right, strict=True))
    return all((a is None) == (b is None) and (a is None or torch.equal(a, b)) for a, b in pairs)


def bad(number: int) -> Turn:
    return Turn((), "What?", f"bad {number}")


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 8), max_size=6), max_size=6), st.sampled_from([None, 3000]))
def test_answers_are_those_of_the_inner_one_and_each_is_asked_for_once(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[int]], bound: int | None
) -> None:
    """Numbers over 6 cannot be used. In a bank that is too small some are made again, and the answers stay right."""
    inner, plain = Counting(), Counting()
    banked = Banked(inner, Bank(tmp_path_factory.mktemp("bank"), bound))
    for numbers in calls:
        turns = [bad(number) if number > 6 else turn(number) for number in numbers]
        assert same(banked.aggregate(turns), plain.aggregate(turns))
    asked = [answer for call in inner.asked for answer in call]
    assert all(inner.asked)
    assert all(len(set(call)) == len(call) for call in inner.asked)
    assert (banked.hits + banked.misses, banked.misses) == (sum(map(len, calls)), len(asked))
    if bound is None:
        assert len(set(asked)) == len(asked)


def test_a_warm_call_never_asks(tmp_path: Path) -> None:
    turns = [turn(number) for number in range(5)]
    cold = Banked(Counting(), Bank(tmp_path))
    made = cold.aggregate(turns)
    assert (cold.hits, cold.misses) == (0, 5)

    class Sleeping(Counting):
        def aggregate(self, turns: object) -> list[torch.Tensor | None]:
            raise AssertionError("asked")

    warm = Banked(Sleeping(), Bank(tmp_path))
    assert same(warm.aggregate(turns[::-1]), made[::-1])
    assert warm.aggregate([]) == []
    assert (warm.hits, warm.misses) == (5, 0)


def test_what_is_missing_is_asked_for_in_one_call_equal_ones_once(tmp_path: Path) -> None:
    inner = Counting()
    banked = Banked(inner, Bank(tmp_path))
    banked.aggregate([turn(1)])
    banked.aggregate([turn(2), turn(1), turn(3), turn(2)])
    assert inner.asked == [("answer 1",), ("answer 2", "answer 3")]
    assert (banked.hits, banked.misses) == (2, 3)


def test_other_facts_or_words_are_no_hits(tmp_path: Path) -> None:
    Banked(Counting(), Bank(tmp_path)).aggregate([turn(1)])
    for inner, asked in ((Counting(layer=5), turn(1)), (Counting(), turn(1, "And this?")), (Counting(weights="v"), turn(1))):
        banked = Banked(inner, Bank(tmp_path))
        banked.aggregate([asked])
        assert (banked.hits, banked.misses) == (0, 1)
    again = Banked(Counting(), Bank(tmp_path))
    again.aggregate([turn(1)])
    assert again.misses == 0


def test_what_cannot_be_used_is_tried_again_by_the_next_process_only(tmp_path: Path) -> None:
    inner = Counting()
    banked = Banked(inner, Bank(tmp_path))
    assert banked.aggregate([bad(1), bad(1)]) == [None, None]
    assert banked.aggregate([bad(1)]) == [None]
    assert inner.asked == [("bad 1",)]
    assert not parts(tmp_path)
    later = Banked(Counting(), Bank(tmp_path))
    later.aggregate([bad(1)])
    assert later.misses == 1


def test_an_aggregator_that_gives_too_few_is_an_error_and_stores_nothing(tmp_path: Path) -> None:
    class Short(Counting):
        def aggregate(self, turns: object) -> list[torch.Tensor | None]:
            return []

    with pytest.raises(ValueError, match="shorter"):
        Banked(Short(), Bank(tmp_path)).aggregate([turn(1)])
    assert not parts(tmp_path)


def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        Banked(Counting(), Bank(tmp_path)).aggregate([turn(1)])
    monkeypatch.undo()
    assert Banked(Counting(), Bank(tmp_path)).facts() == FACTS
    assert not list(tmp_path.rglob("*.safetensors"))
