"""The processes that train together: who this one is, where it computes, and the few words ranks exchange.

torchrun starts the ranks and tells each by environment variables which one it is; without them there is one.

    with started(config.parallel, config.compute) as ranks:
        tokens = ranks.sum(torch.tensor([supervised], dtype=torch.float64))

Small talk goes over gloo on the CPU, also where gradients go over NCCL: it never waits for the GPU.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from curate.errors import ConfigError, ShotcraftError
from train.config import ComputeSettings, ParallelSettings
from train.parallel.quota import cpu_quota


class RankError(ShotcraftError):
    """Another rank ended or did not answer in time."""


@dataclass(frozen=True)
class Ranks:
    """This rank among all. Every method is a meeting: all ranks must call it, in the same order."""

    rank: int
    world: int
    local_rank: int
    device: torch.device
    mesh: DeviceMesh | None = None
    """None where nothing is sharded; else ("shard",), or ("replicate", "shard") with several replicas."""

    @classmethod
    def alone(cls, device: str = "cpu") -> "Ranks":
        """One rank that needs no process group."""
        return cls(0, 1, 0, torch.device(device))

    @property
    def first(self) -> bool:
        """Whether this rank writes what is written once."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """A copy of `values`, summed over the ranks; same type, same device, the same bits on every rank."""
        total = values.detach().clone()
        if self.world > 1:
            dist.all_reduce(total)
        return total

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on some rank."""
        if self.world == 1:
            return bool(flag)
        raised = torch.tensor([int(flag)], dtype=torch.int32)
        dist.all_reduce(raised, dist.ReduceOp.MAX)
        return bool(raised.item())

    def all(self, flag: bool) -> bool:
        """Whether the flag is up on every rank."""
        return not self.any(not flag)

    def gather(self, value: object) -> list[Any]:
        """Every rank's value, in the order of ranks. Small plain data: what JSON makes of it comes back, also on one rank."""
        words = json.dumps(value).encode()
        if self.world == 1:
            return [json.loads(words)]
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world)]
        dist.all_gather(lengths, torch.tensor([len(words)]))
        widest = max(int(length) for length in lengths)
        sheets = [torch.zeros(widest, dtype=torch.uint8) for _ in range(self.world)]
        dist.all_gather(sheets, torch.tensor(list(words.ljust(widest)), dtype=torch.uint8))
        return [json.loads(bytes(sheet.tolist())) for sheet in sheets]

    def barrier(self) -> None:
        """Waits until every rank is here."""
        self.any(False)


@contextmanager
def started(parallel: ParallelSettings, compute: ComputeSettings) -> Iterator[Ranks]:
    """Joins the ranks that torchrun started, or starts one alone; leaves them at the end.

    ConfigError where device or replicas cannot be had. A rank that waits for one that ended or is silent for
    `parallel.timeout` seconds raises RankError.
    """
    rank, world, local = (int(os.environ.get(name, default)) for name, default in _TORCHRUN)
    device = _device(compute.device, local)
    parallel.check(world)
    with _numerics(compute, device), _group(rank, world, device, parallel.timeout):
        yield Ranks(rank, world, local, device, _mesh(world, device, parallel))


_TORCHRUN = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))


def _device(asked: str, local: int) -> torch.device:
    found = torch.cuda.device_count()
    if asked == "cpu" or (asked == "auto" and not found):
        return torch.device("cpu")
    if not found:
        raise ConfigError("compute.device is cuda, and torch sees no GPU here; set it to auto or cpu")
    if local >= found:
        raise ConfigError(
            f"local rank {local} has no GPU of its own, the machine has {found}; start at most {found} ranks on it"
        )
    return torch.device("cuda", local)


@contextmanager
def _numerics(compute: ComputeSettings, device: torch.device) -> Iterator[None]:
    """Threads of this rank and the kind of kernels, as they were before at the end."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(compute.threads or own_threads())
    if compute.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once, when the GPU is first used
        torch.use_deterministic_algorithms(True, warn_only=True)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def own_threads() -> int:
    """The cores that this process may use, shared evenly among the ranks of the machine; fewer where OMP_NUM_THREADS asks
    a rank alone for fewer. torchrun sets it to 1 for each of several, which would leave most cores idle."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if ranks == 1 and asked.isdecimal() and int(asked):
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, int(min(cores, cpu_quota()) / ranks))


@contextmanager
def _group(rank: int, world: int, device: torch.device, timeout: float) -> Iterator[None]:
    """The process group: gloo for tensors on the CPU, NCCL for those on GPUs."""
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store = dist.HashStore() if world == 1 else None  # alone: no port, no environment
    known = {"store": store, "rank": 0, "world_size": 1} if store else {}
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout), **known)
        yield
    except BaseException as error:
        _hang_up(device)
        if world > 1 and isinstance(error, RuntimeError) and (reason := _broken(error)):
            raise RankError(
                f"rank {rank} lost another rank, which ended or did not answer within parallel.timeout"
                f" ({timeout:g} s); the first error of the other ranks says why ({reason})"
            ) from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()  # also tells those who wait for this rank


def _hang_up(device: torch.device) -> None:
    """Leaves NCCL at once: an orderly farewell would wait for ranks that are waiting for this one."""
    if device.type == "cuda" and dist.is_initialized():
        with suppress(RuntimeError):
            dist.distributed_c10d._abort_process_group()


_LOST = re.compile(r"gloo.*(closed by|reset by|broken pipe|refused|timed? ?out)", re.IGNORECASE)


def _broken(error: RuntimeError) -> str:
    """The first words of an error of the connection between ranks; "" for any other error."""
    told = " ".join(str(error).split())
    if not isinstance(error, dist.DistError) and not _LOST.search(told):
        return ""
    return told.rsplit("] ", 1)[-1][:160]


def _mesh(world: int, device: torch.device, parallel: ParallelSettings) -> DeviceMesh | None:
    if world == 1 and parallel.shard == "auto":
        return None
    if parallel.replicas == 1:
        return init_device_mesh(device.type, (world,), mesh_dim_names=("shard",))
    shape = (parallel.replicas, world // parallel.replicas)
    return init_device_mesh(device.type, shape, mesh_dim_names=("replicate", "shard"))
