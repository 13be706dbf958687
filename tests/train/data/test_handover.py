"""Tensors through shared slots: the same tensors, and no slot is used again while anybody looks at it."""

import gc
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.data import handover
from train.data.handover import Parcel, Slots
from train.data.loader import Loader, LoaderSettings
from train.data.records import Loaded, Row

from .conftest import MakePlan

KINDS = (torch.uint8, torch.int16, torch.int64, torch.float32, torch.bfloat16, torch.float16, torch.bool, torch.float64)


@dataclass(frozen=True)
class Content:
    name: str
    tensors: dict[str, torch.Tensor]


def through(slots: Slots, content: Any) -> Any:
    parcel = slots.pack(content, slots.take())
    assert isinstance(parcel, Parcel)
    return slots.unpack(parcel)


def free(slots: Slots) -> int:
    gc.collect()
    return len(slots._free)


@given(shape=st.lists(st.integers(0, 4), max_size=4), kind=st.sampled_from(KINDS), data=st.data())
def test_a_tensor_comes_as_it_went(shape: list[int], kind: torch.dtype, data: st.DataObject) -> None:
    sent = (torch.rand(shape) * 100).to(kind).permute(data.draw(st.permutations(range(len(shape)))))
    got = through(Slots(1, 1 << 16), Content("a", {"x": sent}))
    assert got.name == "a"
    assert torch.equal(got.tensors["x"], sent)
    assert got.tensors["x"].dtype == kind


def test_channels_last_stays_channels_last() -> None:
    sent = torch.arange(2 * 5 * 7 * 3).reshape(2, 5, 7, 3).permute(0, 3, 1, 2)
    got = through(Slots(1), sent)
    assert got.stride() == sent.stride()
    assert torch.equal(got, sent)


def test_views_repeats_and_arrays_arrive_whole() -> None:
    wide = torch.arange(12).reshape(3, 4)
    sent = {
        "every other": wide[:, ::2],
        "repeated": torch.ones(1).expand(5),
        "array": np.arange(6).reshape(2, 3),
        "none": None,
    }
    got = through(Slots(1), sent)
    assert torch.equal(got["every other"], sent["every other"])
    assert torch.equal(got["repeated"], sent["repeated"])
    assert (got["array"] == sent["array"]).all()
    assert got["none"] is None


def test_a_slot_is_free_when_the_last_view_is_gone() -> None:
    slots = Slots(2)
    got = through(slots, {"x": torch.arange(10.0), "y": torch.arange(3)})
    assert free(slots) == 1
    view = got["x"].reshape(2, 5)[1].unsqueeze(0)
    del got
    assert free(slots) == 1, "a view is still there"
    array = view.numpy()
    del view
    assert free(slots) == 1, "an array over it is still there"
    assert array.tolist() == [[5, 6, 7, 8, 9]]
    del array
    assert free(slots) == 2


def test_what_has_no_tensors_frees_its_slot_at_once() -> None:
    slots = Slots(1)
    assert through(slots, ["a", 1]) == ["a", 1]
    assert free(slots) == 1


def test_what_does_not_fit_is_handed_over_as_it_is() -> None:
    slots, content = Slots(1, 1 << 12), {"x": torch.zeros(5000)}
    assert slots.pack(content, slots.take()) is content


class Numbers:
    """A tensor of the samples' numbers, large enough to see whether somebody wrote over it."""

    def __call__(self, rows: list[Row]) -> torch.Tensor:
        numbers = [episode.number for row in rows for episode in row if isinstance(episode, Loaded)]
        return torch.tensor(numbers).repeat_interleave(1000)


@pytest.mark.parametrize("kept", [0, 1, 1000])
def test_batches_that_are_kept_are_never_written_over(make_plan: MakePlan, kept: int) -> None:
    """However many batches the caller holds, more than there are slots included."""
    plan = make_plan().plan
    settings = LoaderSettings(packing=False, batch=2, micro_batch=2, workers=0, epochs=6)
    expected = [step[0].clone() for step in Loader(plan, Numbers(), settings)]
    held: list[tuple[int, torch.Tensor]] = []
    with Loader(plan, Numbers(), settings.model_copy(update={"workers": 2, "prefetch": 2})) as loader:
        for at, (batch,) in enumerate(loader):
            assert torch.equal(batch, expected[at])
            held = [*held, (at, batch)][-kept:] if kept else []
            del batch
    assert all(torch.equal(batch, expected[at]) for at, batch in held)
    assert len(expected) == 72


@pytest.mark.parametrize(("batch", "micro", "world"), [(12, 1, 1), (12, 2, 2), (2, 2, 1)])
def test_who_holds_a_step_while_the_next_comes_never_goes_the_slow_way(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, batch: int, micro: int, world: int
) -> None:
    taken: list[int] = []

    def taking(slots: Slots, take: Any = Slots.take) -> int:
        taken.append(take(slots))
        return taken[-1]

    monkeypatch.setattr(Slots, "take", taking)
    settings = LoaderSettings(packing=False, batch=batch, micro_batch=micro, workers=2, prefetch=2, epochs=4)
    with Loader(make_plan().plan, Numbers(), settings, world=world) as loader:
        assert sum(len(batches) for batches in loader) == 96 // micro // world
    assert len(taken) == 96 // micro // world
    assert min(taken) >= 0


def test_slots_are_as_many_as_address_space_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(Slots(4096)) == 256
    monkeypatch.setattr(handover, "STRICT", tmp_path / "strict")
    monkeypatch.setattr(handover, "MEMORY", tmp_path / "memory")
    (tmp_path / "strict").write_text("2\n")
    (tmp_path / "memory").write_text("CommitLimit:  8388608 kB\nCommitted_AS:  4194304 kB\n")
    assert len(Slots(4096)) == 4  # a quarter of 4 GiB
    (tmp_path / "memory").write_text("CommitLimit:  1 kB\nCommitted_AS:  2 kB\n")
    assert Slots(4096).take() == -1


def test_under_a_limit_of_address_space_there_are_fewer_slots() -> None:
    limited = "resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))"
    code = f"import resource; from train.data.handover import Slots; {limited}; print(len(Slots(4096)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "16\n"
