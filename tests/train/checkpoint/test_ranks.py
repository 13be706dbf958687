"""Saved by any number of ranks, restored by any other."""

from pathlib import Path
from typing import Any

import pytest
import torch

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
    for world, replicas in ((1, 1), (2, 1), (4, 2)):
        run_ranks(_save, world, tmp_path / str(world), replicas)
    manifests = {world: read_manifest(tmp_path / str(world) / name_of(1)) for world in (1, 2, 4)}
    assert manifests[1].frozen == manifests[2].frozen == manifests[4].frozen
    assert [len(manifests[world].files) for world in (1, 2, 4)] == [1, 2, 4]
    from safetensors.torch import load_file

    def elements(world: int) -> int:
        files = (tmp_path / str(world) / name_of(1)).glob("*.safetensors")
        return sum(tensor.numel() for file in files for tensor in load_file(file).values())

    assert elements(1) == elements(2) == elements(4)


def _one_rank_fails(folder: Path) -> tuple[str, int | None]:
    with started(ParallelSettings(), ComputeSettings(device="cpu")) as ranks:
        net = sharded(prepared(lora=False), ranks)
        keeper, write = checkpoints(folder, ranks), saving.write_shard
        keeper.save(1, net, None, {}, {})
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
