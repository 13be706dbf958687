"""Ranks find each other, exchange numbers, words and flags, and do not wait for the dead."""

import os
import time
from typing import Any

import pytest
import torch
import torch.distributed as dist

from curate.errors import ConfigError, ShotcraftError
from tests.train.parallel.two_ranks import Failed, run_ranks
from train.config import ComputeSettings, ParallelSettings
from train.parallel.ranks import RankError, Ranks, own_threads, started

CPU = ComputeSettings(device="cpu")


def words(replicas: int) -> dict[str, Any]:
    with started(ParallelSettings(replicas=replicas), CPU) as ranks:
        values = torch.tensor([1.0 / 3 + ranks.rank, 1e-17], dtype=torch.float64)
        total = ranks.sum(values)
        ranks.barrier()
        assert ranks.mesh is not None
        return {
            "who": (ranks.rank, ranks.world, ranks.local_rank, ranks.first, ranks.device.type),
            "sum": (total.tolist(), total.dtype, values.tolist()),
            "flags": [ranks.any(ranks.rank == 1), ranks.any(False), ranks.all(True), ranks.all(ranks.rank == 1)],
            "said": ranks.gather({"rank": ranks.rank, "text": "ä" * (1 + 1000 * ranks.rank), "none": None}),
            "mesh": (ranks.mesh.mesh_dim_names, tuple(ranks.mesh.shape)),
            "threads": torch.get_num_threads(),
        }


def test_two_ranks_exchange_numbers_flags_and_words() -> None:
    one, other = run_ranks(words, 2, 1)
    assert one["who"] == (0, 2, 0, True, "cpu")
    assert other["who"] == (1, 2, 1, False, "cpu")
    assert one["sum"][:2] == other["sum"][:2] == ([1.0 / 3 + (1.0 / 3 + 1), 2e-17], torch.float64)
    assert one["sum"][2] == [1.0 / 3, 1e-17]  # what was given stays
    assert one["flags"] == other["flags"] == [True, False, True, False]
    assert one["said"] == other["said"] == [{"rank": r, "text": "ä" * (1 + 1000 * r), "none": None} for r in (0, 1)]
    assert one["mesh"] == (("shard",), (2,))
    assert one["threads"] == max(1, len(os.sched_getaffinity(0)) // 2)


def test_replicas_make_a_mesh_of_two_dimensions() -> None:
    assert run_ranks(words, 2, 2)[1]["mesh"] == (("replicate", "shard"), (2, 1))


def raising() -> None:
    with started(ParallelSettings(timeout=20), CPU) as ranks:
        ranks.barrier()
        if ranks.rank == 1:
            raise ValueError("a fault of this rank alone")
        ranks.barrier()


def test_a_rank_that_raises_ends_the_others_at_once() -> None:
    began = time.monotonic()
    other, one = run_ranks(raising, 2, failing=True)
    assert (one.kind, one.message) == ("ValueError", "a fault of this rank alone")
    assert other.kind == "RankError"
    assert "rank 0 lost another rank" in other.message
    assert "\n" not in other.message
    assert time.monotonic() - began < 15  # well before the 20 seconds


def sleeping() -> float:
    with started(ParallelSettings(timeout=1.5), CPU) as ranks:
        ranks.barrier()
        if ranks.rank == 1:
            time.sleep(4)
            os._exit(0)
        ranks.barrier()
    return 0.0


def test_a_rank_that_is_silent_is_given_up() -> None:
    began = time.monotonic()
    one, silent = run_ranks(sleeping, 2, failing=True)
    assert isinstance(silent, Failed)
    assert one.kind == "RankError"
    assert "within parallel.timeout (1.5 s)" in one.message
    assert time.monotonic() - began < 15


def killed() -> None:
    with started(ParallelSettings(timeout=20), CPU) as ranks:
        ranks.barrier()
        if ranks.rank == 1:
            os.kill(os.getpid(), 9)
        ranks.gather("still here")


def test_a_rank_that_is_killed_ends_the_others_at_once() -> None:
    assert [one.kind for one in run_ranks(killed, 2, failing=True)] == ["RankError", "Killed"]


# One process


def test_alone_there_is_a_group_and_nothing_is_sharded() -> None:
    before = torch.get_num_threads()
    with started(ParallelSettings(), ComputeSettings(device="cpu", threads=before + 1)) as ranks:
        assert dist.is_initialized()  # a mesh of one rank (parallel.shard: always) wants one
        assert (ranks.rank, ranks.world, ranks.first, ranks.mesh) == (0, 1, True, None)
        assert torch.get_num_threads() == before + 1
        assert ranks.gather((1, "a")) == [[1, "a"]]
        assert ranks.any(True)
        assert not ranks.all(False)
        ranks.barrier()
    assert not dist.is_initialized()
    assert torch.get_num_threads() == before


def test_it_can_be_started_again_and_with_a_mesh_of_one() -> None:
    for _ in range(2):
        with started(ParallelSettings(shard="always"), CPU) as ranks:
            assert ranks.mesh is not None
            assert ranks.mesh.size() == 1


def test_a_sum_is_a_copy_also_alone() -> None:
    values = torch.ones(2)
    total = Ranks.alone().sum(values)
    total += 1
    assert values.tolist() == [1, 1]


def test_replicas_that_do_not_divide_the_ranks_are_refused() -> None:
    with (
        pytest.raises(ConfigError, match=r"parallel.replicas 2 does not divide the 1 rank$"),
        started(ParallelSettings(replicas=2), CPU),
    ):
        pass
    assert not dist.is_initialized()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_told() -> None:
    with (
        pytest.raises(ConfigError, match="torch sees no GPU here"),
        started(ParallelSettings(), ComputeSettings(device="cuda")),
    ):
        pass


def test_cores_are_shared_among_the_ranks_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    alone = own_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(alone + 1))
    assert own_threads() == alone + 1  # the user's word; of several ranks it is torchrun's
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert own_threads() == max(1, alone // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert own_threads() == 1


def test_errors_of_training_pass_through_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="of the model") as caught, started(ParallelSettings(), CPU):
        raise RuntimeError("a fault of the model")
    assert not isinstance(caught.value, ShotcraftError)
    assert issubclass(RankError, ShotcraftError)
