"""Saved by any number of ranks, restored by any other."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from curate.errors import ShotcraftError, StorageError
from tests.train.checkpoint.small_nets import adamw, checkpoints, equal, prepared, sharded, state, take_step
from tests.train.parallel.two_ranks import run_ranks
from train.checkpoint import saving
from train.checkpoint.layout import name_of, read_manifest
from train.config import ComputeSettings, ParallelSettings
from train.parallel.ranks import started


def _save(folder: Path, replicas: int, step: int = 1) -> dict[str, Any]:
    """Trains one step from what is there, saves, and gives back the whole state."""
    with started(ParallelSettings(replicas=replicas), ComputeSettings(device="cpu")) as ranks:
        net = sharded(prepared(), ranks)
        net.eval()  # no batch statistics, which differ from rank to rank
        optimizer, keeper = adamw(net), checkpoints(folder, ranks)
        take_step(net, optimizer, step)
        with torch.no_grad():
            net(torch.arange(3))  # a validation, which leaves the root's parameters gathered
        keeper.save(step, net, optimizer, {"step": step, "rank": ranks.rank}, {"loss": 1.0})
        keeper.wait()
        assert keeper.latest() == step
        return state(net, optimizer)


def _restore(folder: Path, replicas: int) -> dict[str, Any]:
    """The whole state after restoring, on a net whose own numbers differ."""
    with started(ParallelSettings(replicas=replicas), ComputeSettings(device="cpu")) as ranks:
        net = prepared()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.5 if parameter.requires_grad else 0)
        net = sharded(net, ranks)
        optimizer = adamw(net)
        assert checkpoints(folder, ranks).restore(net, optimizer) == {"step": 1, "rank": 0}
        return state(net, optimizer)


@pytest.mark.parametrize(
    ("writers", "readers"), [((1, 1), (2, 1)), ((2, 1), (1, 1)), ((2, 1), (2, 1)), ((2, 2), (1, 1)), ((4, 2), (3, 1))]
)
def test_any_number_of_ranks_reads_what_any_other_wrote(
    tmp_path: Path, writers: tuple[int, int], readers: tuple[int, int]
) -> None:
    written = run_ranks(_save, writers[0], tmp_path, writers[1])
    read = run_ranks(_restore, readers[0], tmp_path, readers[1])
    assert all(equal(found, written[0]) for found in (*written, *read))


def test_files_hold_every_element_once_and_frozen_checksums_do_not_depend_on_the_ranks(tmp_path: Path) -> None:
    for world, replicas in ((1, 1), (2, 1), (2, 2)):
        run_ranks(_save, world, tmp_path / f"{world}{replicas}", replicas)
    manifests = {name: read_manifest(tmp_path / name / name_of(1)) for name in ("11", "21", "22")}
    assert manifests["11"].frozen == manifests["21"].frozen == manifests["22"].frozen
    assert [len(manifest.files) for manifest in manifests.values()] == [1, 2, 2]

    def elements(name: str) -> int:
        files = (tmp_path / name / name_of(1)).glob("*.safetensors")
        return sum(tensor.numel() for file in files for tensor in load_file(file).values())

    assert elements("11") == elements("21") == elements("22")


def _one_rank_fails(folder: Path) -> tuple[str, int | None]:
    with started(ParallelSettings(), ComputeSettings(device="cpu")) as ranks:
        net = sharded(prepared(lora=False), ranks)
        keeper, write = checkpoints(folder, ranks), saving.write_shard
        keeper.save(1, net, None, {}, {})
        keeper.wait()
        if ranks.rank == 1:
            saving.write_shard = _full
        keeper.save(2, net, None, {}, {})
        try:
            keeper.wait()
        except ShotcraftError as error:
            return str(error), keeper.latest()
        finally:
            saving.write_shard = write
    return "", None


def _full(*_: object) -> Any:
    raise StorageError("no space left")


def test_an_error_of_one_rank_stops_all_of_them(tmp_path: Path) -> None:
    (first, latest), (second, also) = run_ranks(_one_rank_fails, 2, tmp_path)
    assert "rank 1" in first
    assert second == "no space left"
    assert latest == also == 1


def _all_die(folder: Path, delays: tuple[float, float]) -> None:
    """Saves step 1, and again and again until this rank is killed."""
    with started(ParallelSettings(timeout=5), ComputeSettings(device="cpu")) as ranks:
        net = sharded(prepared(), ranks)
        net.eval()
        optimizer, keeper = adamw(net), checkpoints(folder, ranks)
        take_step(net, optimizer, 1)
        keeper.save(1, net, optimizer, {"step": 1, "rank": 0}, {})
        keeper.wait()
        threading.Timer(delays[ranks.rank], os.kill, (os.getpid(), signal.SIGKILL)).start()
        for step in range(2, 10_000):
            keeper.save(step, net, optimizer, {"step": 1, "rank": 0}, {})


@pytest.mark.parametrize("delays", [(0.05, 0.05), (0.02, 0.2), (0.2, 0.02)])
def test_ranks_killed_while_saving_leave_a_checkpoint_that_others_read(tmp_path: Path, delays: tuple[float, float]) -> None:
    run_ranks(_all_die, 2, tmp_path, delays, failing=True)
    (left,) = run_ranks(_restore, 1, tmp_path, 1)
    alone = prepared().eval()
    optimizer = adamw(alone)
    take_step(alone, optimizer, 1)
    assert left.keys() == state(alone, optimizer).keys()
    assert not list(tmp_path.glob(".tmp*"))
