"""Several processes in one bank, and one that is killed."""

import os
import shutil
import signal
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.bank.small_banks import FACTS, entries, hidden, key, parts, size
from tests.train.parallel.two_ranks import PRELOADED
from train.bank import Bank, merging

MOMENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.utime", "os.listdir", "os.scandir"}


def _start(function: Any, *args: Any) -> Any:
    context = get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "tests.train.bank.test_processes"])
    process = context.Process(target=function, args=args, daemon=True)
    process.start()
    return process


def _put_all(folder: Path, numbers: range) -> None:
    bank = Bank(folder)
    for number in numbers:
        bank.put(entries(number), FACTS)
        assert torch.equal(bank.get([key(number)])[key(number)], hidden(number))


def _keep_putting(folder: Path, bound: int, first: int) -> None:
    bank, number = Bank(folder, bound), first
    while True:
        bank.put(entries(number, number + 1), FACTS)
        bank.get([key(number - 4)])
        number += 2


def _die_at(folder: Path, few: int, moment: int, done: Any) -> None:
    """Puts two entries, and is killed just before its `moment`-th touch of the disk. Over `few` small parts are merged."""
    merging.MANY = few
    bank, touched = Bank(folder), 0

    def count(event: str, args: tuple[object, ...]) -> None:
        nonlocal touched
        if event in MOMENTS and str(folder) in str(args[0]):
            touched += 1
            if touched > moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    bank.put(entries(8, 9), FACTS)
    done.value = 1


def test_two_that_put_at_once_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    both = [_start(_put_all, tmp_path, range(30)), _start(_put_all, tmp_path, range(20, 50))]
    for process in both:
        process.join(50)
    assert [process.exitcode for process in both] == [0, 0]
    bank = Bank(tmp_path)
    found = bank.get([key(number) for number in range(50)])
    assert all(torch.equal(found[key(number)], hidden(number)) for number in range(50))
    assert sum(len(part.sums) for part in bank.index().parts.values()) == 50
    assert not bank.faults


def test_one_reads_while_others_write_evict_and_merge(tmp_path: Path) -> None:
    writers = [_start(_keep_putting, tmp_path, 60_000, first) for first in (1000, 5000)]
    bank, ended, seen = Bank(tmp_path, touch_every=0), time.monotonic() + 3, 0
    try:
        while time.monotonic() < ended:
            there = list(bank.index().parts.values())
            for name, held in bank.get([name for part in there for name in part.sums]).items():
                assert name == key(int(held[0, 0]))
                seen += 1
            assert size_now(tmp_path) <= 60_000
    finally:
        for process in writers:
            process.kill()
            process.join()
    assert seen > 100
    assert not bank.faults
    Bank(tmp_path).put(entries(1), FACTS)
    assert Bank(tmp_path).get([key(1)])


def size_now(folder: Path) -> int:
    """A part that went between the listing and the look counts nothing; that can only make it less."""
    found = 0
    for path in parts(folder):
        try:
            found += path.stat().st_size
        except FileNotFoundError:
            continue
    return found


@pytest.mark.parametrize("few", [2, 99])
def test_killed_before_each_touch_of_the_disk(tmp_path: Path, few: int) -> None:
    """Where the put merges small parts, and where the bank is full and an old part goes."""
    done, moment, found = get_context("forkserver").Value("q", 0), 0, []
    bound = _prepared(tmp_path / "before", full=few > 2)
    while not done.value:
        folder = tmp_path / str(moment)
        shutil.copytree(tmp_path / "before", folder)
        process = _start(_die_at, folder, few, moment, done)
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        found.append(_check(folder, bound))
        moment += 1
    assert (found[0], found[-1]) == (0, 2)
    assert found == sorted(found)
    assert len(found) > 8


def _prepared(folder: Path, full: bool) -> int:
    """Two parts of two entries each, the first used long ago, and no room for a third where `full`."""
    Bank(folder).put(entries(0, 1), FACTS)
    Bank(folder).put(entries(2, 3), FACTS)
    os.utime(next(path for path in parts(folder) if key(0).encode() in path.read_bytes()), ns=(10**18, 10**18))
    bank = Bank(folder, size(folder) * 5 // 4 if full else 1 << 20)
    bank.put({}, FACTS)
    return bank.max_bytes


def _check(folder: Path, bound: int) -> int:
    """How many of the new entries are there; all is whole, within the bound, and can be written on."""
    bank, old, new = Bank(folder), entries(0, 1, 2, 3), entries(8, 9)
    there = bank.get([*old, *new])
    assert all(torch.equal(held, (old | new)[name]) for name, held in there.items())
    assert {key(2), key(3)} <= there.keys()
    assert not bank.faults
    assert size(folder) <= bound
    if bound == 1 << 20:
        assert old.keys() <= there.keys()
    bank.put(entries(20), FACTS)
    assert key(20) in Bank(folder).get([key(20)])
    assert not list(folder.rglob(".tmp-*"))
    return len(new.keys() & there.keys())
