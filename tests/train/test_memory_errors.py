"""Memory that does not suffice is told with the batch that was too large and what to lower."""

from typing import Any

import pytest
import torch

import train.loop
from curate.errors import MemoryLimitError
from tests.train.tiny_runs import save_tiny_model, tiny_config
from train.data.records import Batch, Segment
from train.memory_errors import out_of_memory


def batch() -> Batch:
    ids = torch.zeros(2, 8, dtype=torch.int64)
    inputs = {"input_ids": ids, "pixel_values": torch.rand(3, 3, 4, 4)}
    return Batch(
        inputs, ids, torch.rand(2, 8), ids.short(), torch.ones(2, 8).int(), (Segment(0, 0, 5, 3), Segment(1, 0, 8, -1))
    )


@pytest.mark.parametrize(
    ("error", "whose"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "GPU"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried ..."), "machine"),
        (MemoryError(), "machine"),
    ],
)
def test_exhausted_memory_says_which_batch_and_what_to_lower(error: BaseException, whose: str) -> None:
    told = str(out_of_memory(error, batch()))
    for part in (
        f"the {whose}'s memory",
        "2 rows of 8 tokens with 3 pictures",
        "samples 3",
        "micro_batch",
        "max_tokens",
        "recompute",
    ):
        assert part in told
    assert "\n" not in told


def test_a_real_allocation_that_fails_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert out_of_memory(caught.value) is not None


def test_another_error_stays_what_it_is() -> None:
    other: Any = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert out_of_memory(other, batch()) is None


def test_a_run_that_does_not_fit_says_which_batch_did_not(tmp_path, processors, episodes_plan, monkeypatch) -> None:
    def spent(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(train.loop, "token_losses", spent)
    model = save_tiny_model(tmp_path / "model", "vicuna", processors["vicuna"])
    with pytest.raises(MemoryLimitError, match=r"1 row of [\d,]+ tokens with \d+ pictures? \(samples \d+.* of the plan\)"):
        train.loop.train(tiny_config(model, episodes_plan, tmp_path / "run"))
