"""What is put is got, bit for bit, by anybody, from the parts alone."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError, InputError, IntegrityError
from tests.train.bank.small_banks import FACTS, entries, hidden, key, parts, size
from train.bank import Bank
from train.bank.survey import survey

TYPES = [torch.float32, torch.bfloat16, torch.float16]
kinds = st.tuples(st.sampled_from(TYPES), st.integers(0, 6), st.integers(0, 9))


def bits(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


@settings(max_examples=30)
@given(st.lists(kinds, min_size=1, max_size=8), st.integers(0, 2**31))
def test_what_is_put_is_got_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple], seed: int) -> None:
    folder, dice = tmp_path_factory.mktemp("bank"), torch.Generator().manual_seed(seed)
    made = {
        key(number): torch.randint(-32768, 32767, (rows, width, 2), generator=dice, dtype=torch.int16)
        .view(torch.float32)[..., 0]
        .to(dtype)
        for number, (dtype, rows, width) in enumerate(shapes)
    }
    Bank(folder).put(made, FACTS)
    found = Bank(folder).get([*made, key(99)])
    assert found.keys() == made.keys()
    for name, tensor in made.items():
        assert (found[name].dtype, found[name].shape, bits(found[name])) == (tensor.dtype, tensor.shape, bits(tensor))


def test_strided_and_shared_tensors_are_stored_as_they_look(tmp_path: Path) -> None:
    base = torch.arange(48.0).reshape(6, 8)
    shown = {key(0): base[:3], key(1): base[:3], key(2): base.T, key(3): base[::2, 1:4], key(4): base[:1].expand(5, 8)}
    Bank(tmp_path).put(shown, FACTS)
    found = Bank(tmp_path).get(shown)
    assert all(torch.equal(found[name], tensor) for name, tensor in shown.items())
    assert size(tmp_path) < 5000


def test_what_one_does_to_an_entry_does_not_reach_the_bank(tmp_path: Path) -> None:
    bank, made = Bank(tmp_path), entries(1)
    bank.put(made, FACTS)
    made[key(1)].zero_()
    bank.get([key(1)])[key(1)].zero_()
    assert torch.equal(bank.get([key(1)])[key(1)], hidden(1))
    assert not bank.faults


def test_nothing_is_stored_twice(tmp_path: Path) -> None:
    first, second = Bank(tmp_path), Bank(tmp_path)
    first.put(entries(1, 2), FACTS)
    second.put(entries(1, 2, 3), FACTS)
    first.put(entries(3), FACTS)
    found = survey(Bank(tmp_path))
    assert (found.entries, found.parts) == (3, 2)


def test_the_parts_alone_are_a_bank(tmp_path: Path) -> None:
    Bank(tmp_path / "one").put(entries(1, 2), FACTS)
    Bank(tmp_path / "one").put(entries(3), {**FACTS, "layer": 4})
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "parts").rename(tmp_path / "two" / "parts")
    moved = Bank(tmp_path / "two", create=False)
    assert moved.get([key(number) for number in (1, 2, 3)]).keys() == entries(1, 2, 3).keys()
    shares = survey(moved).models
    assert {(share.entries, share.facts["layer"]) for share in shares} == {(2, -1), (1, 4)}


def test_another_process_s_entries_are_seen_without_opening_anew(tmp_path: Path) -> None:
    reader = Bank(tmp_path)
    assert reader.get([key(1)]) == {}
    Bank(tmp_path).put(entries(1), FACTS)
    assert torch.equal(reader.get([key(1)])[key(1)], hidden(1))


def test_what_is_no_entry_is_refused_and_nothing_of_it_stored(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    for name, tensor in (
        ("../../x", hidden(1)),
        (key(1)[:-1] + "g", hidden(1)),
        (key(1), torch.zeros(3)),
        (key(1), torch.zeros(3, 3, dtype=torch.int64)),
    ):
        with pytest.raises(ValueError, match=r"is no key|an entry is"):
            bank.put({**entries(2), name: tensor}, FACTS)
    assert not parts(tmp_path)


def test_looking_makes_no_bank(tmp_path: Path) -> None:
    assert Bank(tmp_path / "new").get([key(1)]) == {}
    assert not (tmp_path / "new").exists()


def test_what_is_no_bank_is_told(tmp_path: Path) -> None:
    (tmp_path / "run" / "images").mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "bank.json").write_text('{"format": 1, "max_bytes": "much"}')
    for place, create, kind, message in (
        (tmp_path / "run", True, InputError, r"no bank \(images lies there\)"),
        (tmp_path / "file", True, InputError, "is a file"),
        (tmp_path / "none", False, InputError, "does not exist"),
        (tmp_path / "broken", True, IntegrityError, "remove it"),
        ("s3://bucket/bank", True, ConfigError, "is a URL"),
        ("memory://bank", True, ConfigError, "is a URL"),
    ):
        with pytest.raises(kind, match=message):
            Bank(place, create=create)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no bank"):
        Bank(tmp_path / "empty", create=False)
