"""A damaged or foreign file among the parts costs its entries, is told and set aside, and never ends the process."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from tests.train.bank.small_banks import FACTS, entries, hidden, key, parts
from train.bank import Bank
from train.bank.parts import HEADER, encode
from train.bank.survey import survey

WHOLE = encode({key(1): hidden(1), key(2): hidden(2).bfloat16()}, FACTS)[1]


def headed(**changed: object) -> bytes:
    """A part whose header says something else."""
    header = {"format": 1, "facts": FACTS, "model": "", "sums": {key(1): 1}} | changed
    return save({key(1): hidden(1)}, {HEADER: json.dumps(header)})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "torn"),
        (WHOLE[:7], "torn"),
        (WHOLE[:200], "torn"),
        (WHOLE[:-1], "torn"),
        (WHOLE + b"\0", "torn"),
        (b"\xff" * 8 + WHOLE, "torn"),
        (save({"weight": torch.zeros(2, 2)}), "foreign"),
        (headed(format=2), "foreign"),
        (headed(facts=[1]), "foreign"),
        (headed(sums=[key(1)]), "foreign"),
        (headed(sums={key(2): 1}), "foreign"),
        (save({key(1): hidden(1)}, {HEADER: "[" * 100_000}), "foreign"),
    ],
)
def test_a_file_that_is_no_part_is_set_aside(tmp_path: Path, data: bytes, reason: str) -> None:
    Bank(tmp_path).put(entries(7), FACTS)
    (tmp_path / "parts" / "bad.safetensors").write_bytes(data)
    bank = Bank(tmp_path)
    assert [(fault.part, fault.reason) for fault in bank.faults] == [("bad.safetensors", reason)]
    assert bank.get([key(1), key(7)]).keys() == {key(7)}
    assert (tmp_path / "damaged" / "bad.safetensors").read_bytes() == data
    assert survey(Bank(tmp_path)).damaged == ("bad.safetensors",)
    assert not Bank(tmp_path).faults


def test_names_and_facts_of_others_are_told_in_plain_characters(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    name = os.fsdecode(b"\x1b[31m\xff.safetensors")
    (tmp_path / "parts" / name).write_bytes(headed(facts={"a": "\ud800"}))
    found = survey(Bank(tmp_path))
    assert [fault.part for fault in found.faults] == list(found.damaged) == ["\\x1b[31m\\udcff.safetensors"]
    assert all(fault.detail.isascii() for fault in found.faults)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_set_aside_unread(tmp_path: Path, make: Callable[[Path], None]) -> None:
    Bank(tmp_path).put(entries(7), FACTS)
    make(tmp_path / "parts" / "x.safetensors")
    bank = Bank(tmp_path)
    assert [fault.reason for fault in bank.faults] == ["foreign"]
    assert os.path.lexists(tmp_path / "damaged" / "x.safetensors")
    assert len(bank.index()) == 1


@settings(max_examples=80)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_whatever_byte_changes_nothing_wrong_is_read(tmp_path_factory: pytest.TempPathFactory, at: int, by: int) -> None:
    folder = tmp_path_factory.mktemp("bank")
    (folder / "parts").mkdir()
    changed = bytearray(WHOLE)
    changed[at] ^= by
    (folder / "parts" / "p.safetensors").write_bytes(changed)
    bank = Bank(folder)
    found = bank.get([key(1), key(2)])
    wanted = {key(1): hidden(1), key(2): hidden(2).bfloat16()}
    assert all(torch.equal(tensor, wanted[name]) and tensor.dtype == wanted[name].dtype for name, tensor in found.items())
    assert bank.faults or len(found) == 2


def test_a_changed_bit_is_found_when_the_entry_is_used_and_the_entry_can_be_made_anew(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.put(entries(1, 2), FACTS)
    (part,) = parts(tmp_path)
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    found = bank.get([key(1), key(2)])
    assert [fault.reason for fault in bank.faults] == ["changed"]
    assert len(found) <= 1
    bank.put(entries(1, 2), FACTS)
    assert len(bank.get([key(1), key(2)])) == len(Bank(tmp_path).get([key(1), key(2)])) == 2


def test_a_part_that_is_cut_while_it_is_mapped_ends_nothing(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.put(entries(1, rows=4000), FACTS)
    bank.get([key(1)])
    os.truncate(parts(tmp_path)[0], 4096)
    assert bank.get([key(1)]) == {}
    assert [fault.reason for fault in bank.faults] == ["truncated"]


def test_a_part_that_vanishes_is_missing_and_no_fault(tmp_path: Path) -> None:
    bank, other = Bank(tmp_path), Bank(tmp_path)
    bank.put(entries(1), FACTS)
    assert other.get([key(1)])
    parts(tmp_path)[0].unlink()
    assert bank.get([key(1)]) == {}
    assert other.get([key(1)]).keys() | other.get([key(1), key(2)]).keys() == {key(1)}  # mapped until it looks again
    assert other.get([key(1)]) == {}
    assert not bank.faults + other.faults


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_bank_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    Bank(tmp_path).put(entries(1), FACTS)
    (tmp_path / "parts" / "bad.safetensors").write_bytes(b"bad")
    (tmp_path / "parts").chmod(0o500)
    tmp_path.chmod(0o500)
    try:
        bank = Bank(tmp_path)
        assert bank.get([key(1)])
        assert bank.get([key(2)]) == {}
        assert len(bank.faults) == 1
    finally:
        tmp_path.chmod(0o700)
        (tmp_path / "parts").chmod(0o700)


def test_a_part_that_the_system_refuses_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Bank(tmp_path).put(entries(1), FACTS)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("safetensors.safe_open", refuse)
        bank = Bank(tmp_path)
        assert bank.get([key(1)]) == {}
        assert [fault.reason for fault in bank.faults] == ["unreadable"]
    assert Bank(tmp_path).get([key(1)])
