"""A bank stays under its bound, and what was not used for longest goes first."""

import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.bank.small_banks import FACTS, entries, hidden, key, parts, size
from train.bank import Bank
from train.bank.merging import MANY
from train.bank.survey import survey

steps = st.lists(st.tuples(st.sampled_from(["put", "get"]), st.integers(0, 12)), max_size=40)


def one_size(tmp: Path) -> int:
    """Bytes of a part with a single entry."""
    Bank(tmp).put(entries(0), FACTS)
    return size(tmp)


@settings(max_examples=40)
@given(steps, st.integers(1, 6))
def test_it_is_the_least_recently_used_that_goes(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, int]], room: int
) -> None:
    """Against a dictionary in the order of use, with single-entry parts, each use by another object or the same."""
    folder = tmp_path_factory.mktemp("bank")
    bound = room * (one_size(tmp_path_factory.mktemp("one")) + 8) + 7
    model: OrderedDict[int, None] = OrderedDict()
    bank = Bank(folder, bound)
    for what, number in asked:
        if what == "put":
            bank.put(entries(number), FACTS)
            if number not in model:
                model[number] = None
                while len(model) > room:
                    model.popitem(last=False)
        else:
            assert (key(number) in bank.get([key(number)])) == (number in model)
            if number in model:
                model.move_to_end(number)
        assert size(folder) <= bound
    assert {number for number in range(13) if key(number) in Bank(folder).index()} == set(model)


@settings(max_examples=20)
@given(st.lists(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 40)), max_size=12), max_size=6), st.integers(0, 60_000))
def test_the_bound_holds_after_any_puts(
    tmp_path_factory: pytest.TempPathFactory, puts: list[list[tuple[int, int]]], bound: int
) -> None:
    folder = tmp_path_factory.mktemp("bank")
    for some in puts:
        Bank(folder, bound).put({key(number): hidden(number, rows) for number, rows in some}, FACTS)
        assert size(folder) <= bound
    bank = Bank(folder)
    for number in range(51):
        assert all(bool((held == number).all()) for held in bank.get([key(number)]).values())


def test_uses_of_an_object_count_before_it_evicts_and_of_others_after_a_while(tmp_path: Path) -> None:
    each = one_size(tmp_path / "one")
    bank = Bank(tmp_path / "bank", 3 * each + 10)
    for number in range(3):
        bank.put(entries(number), FACTS)
        bank.get([key(number)])
    bank.get([key(0)])  # within the minute: noted, not yet written
    bank.put(entries(3), FACTS)
    assert list(Bank(tmp_path / "bank").get([key(n) for n in range(4)])) == [key(n) for n in (0, 2, 3)]
    other = Bank(tmp_path / "bank", touch_every=0)
    other.get([key(0)])
    other.get([key(2)])
    Bank(tmp_path / "bank").put(entries(4), FACTS)
    assert list(Bank(tmp_path / "bank").get([key(n) for n in range(5)])) == [key(n) for n in (0, 2, 4)]


def test_an_entry_larger_than_the_bank_takes_nothing_s_place(tmp_path: Path) -> None:
    bank = Bank(tmp_path, 5000)
    bank.put(entries(1), FACTS)
    bank.put({key(2): torch.zeros(100, 100)}, FACTS)
    assert bank.refused == 1
    assert bank.get([key(1), key(2)]).keys() == {key(1)}


def test_the_bound_is_the_bank_s_and_is_changed_by_the_next_that_states_one(tmp_path: Path) -> None:
    old = Bank(tmp_path, 10_000)
    old.put(entries(1), FACTS)
    assert Bank(tmp_path).max_bytes == 10_000
    Bank(tmp_path, 3_000).put(entries(2), FACTS)
    for number in range(3, 20):
        old.put(entries(number), FACTS)
    assert size(tmp_path) <= 3_000


def test_pruning_says_beforehand_what_it_will_do(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    for number in range(5):
        bank.put(entries(number), FACTS)
    room = size(tmp_path) * 3 // 5
    planned = bank.prune(room, dry_run=True)
    assert (len(planned), len(parts(tmp_path))) == (2, 5)
    assert bank.prune(room) == planned
    assert bank.get([key(number) for number in range(5)]).keys() == entries(2, 3, 4).keys()
    assert bank.max_bytes > room
    bank.prune(0)
    assert not parts(tmp_path)


def test_many_small_parts_become_few_and_keep_their_order_of_use(tmp_path: Path) -> None:
    filling = Bank(tmp_path / "many", 10 << 20)
    reader = Bank(tmp_path / "many")
    for number in range(MANY):
        filling.put(entries(number), FACTS)
        filling.put({key(1000 + number): hidden(number)}, FACTS | {"layer": 3})
    reader.get([key(5)])
    assert len(parts(tmp_path / "many")) == 2 * MANY
    for path in parts(tmp_path / "many"):
        os.utime(path, ns=(10**18, 10**18))
    filling.put(entries(MANY), FACTS)
    assert len(parts(tmp_path / "many")) == MANY + 1
    merged = max(parts(tmp_path / "many"), key=lambda path: path.stat().st_size)
    assert merged.stat().st_mtime_ns > 10**18  # the last of them is new
    for bank in (filling, reader, Bank(tmp_path / "many")):
        found = bank.get([key(number) for number in range(MANY + 1)])
        assert all(torch.equal(found[key(number)], hidden(number)) for number in range(MANY + 1))
    assert {share.entries for share in survey(filling).models} == {MANY, MANY + 1}
    assert not reader.faults


def test_doubled_entries_are_merged_into_one(tmp_path: Path) -> None:
    """As after a kill between a merge and the removal of what was merged."""
    for number in range(MANY):
        Bank(tmp_path / "a").put(entries(number), FACTS)
    Bank(tmp_path / "b").put(entries(*range(MANY)), FACTS)
    (whole,) = parts(tmp_path / "b")
    whole.rename(tmp_path / "a" / "parts" / whole.name)
    bank = Bank(tmp_path / "a")
    assert len(bank.index()) == MANY
    bank.put(entries(MANY), FACTS)
    assert len(parts(tmp_path / "a")) == 1
    assert len(bank.get([key(number) for number in range(MANY + 1)])) == MANY + 1
