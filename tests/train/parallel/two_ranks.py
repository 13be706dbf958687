"""Functions run by several processes at once, as torchrun would start them; a test that hangs fails instead.

    def talk(word): ...                        # at a module's top level; runs in every rank
    first, second = run_ranks(talk, 2, "hi")   # what each rank gave back

Ranks are forked from a server that has imported torch and the tiny models' code once, so that they start at once.
"""

import os
import pickle
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any

PRELOADED = [
    *(
        f"transformers.models.{name}.{kind}_{name}"
        for name in ("llava", "qwen2_vl", "idefics3")
        for kind in ("modeling", "processing")
    ),
    *(f"transformers.models.{name}.modeling_{name}" for name in ("clip", "llama")),
    *("torch._dynamo", "torch.distributed.tensor", "torch.optim", "peft", "pytest", "curate.shards.plans", "train.loss"),
    *("train.parallel.sharding", "train.data.collate", "tests.train.tiny_models", "tests.train.parallel.two_ranks"),
]


@dataclass(frozen=True)
class Failed:
    """What a rank raised."""

    kind: str
    message: str
    trace: str


def run_ranks(function: Callable[..., Any], world: int, *args: Any, timeout: float = 150, failing: bool = False) -> list[Any]:
    """What `function(*args)` gave back on every rank. A rank that raises fails the test, unless `failing`: then its
    place in the list is a Failed. TimeoutError when they are not done in time."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    port, processes, ends = _free_port(), [], []
    for rank in range(world):
        near, far = context.Pipe(duplex=False)
        process = context.Process(target=_rank, args=(far, rank, world, port, function, args), daemon=True)
        process.start()
        far.close()
        processes.append(process)
        ends.append(near)
    try:
        outcomes = _collected(ends, monotonic() + timeout)
    finally:
        for process in processes:
            process.kill()
            process.join()
    for rank, outcome in enumerate(outcomes):
        if isinstance(outcome, Failed) and not failing:
            raise AssertionError(f"rank {rank} raised {outcome.kind}:\n{outcome.trace}")
    return outcomes


def _collected(ends: list[Connection], deadline: float) -> list[Any]:
    outcomes: dict[Connection, Any] = {}
    while len(outcomes) < len(ends):
        ready = wait([end for end in ends if end not in outcomes], max(0, deadline - monotonic()))
        if not ready:
            silent = [rank for rank, end in enumerate(ends) if end not in outcomes]
            told = [outcome.trace for outcome in outcomes.values() if isinstance(outcome, Failed)]
            raise TimeoutError(f"ranks {silent} are not done in time\n" + "\n".join(told))
        for end in ready:
            assert isinstance(end, Connection)
            try:
                outcomes[end] = pickle.loads(end.recv_bytes())
            except EOFError:
                outcomes[end] = Failed("Killed", "the process ended without a word", "")
    return [outcomes[end] for end in ends]


def _rank(end: Connection, rank: int, world: int, port: int, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world),
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
    import torch

    torch.set_num_threads(1)
    try:
        outcome = function(*args)
    except BaseException as error:
        outcome = Failed(type(error).__name__, str(error), traceback.format_exc())
    end.send_bytes(pickle.dumps(outcome))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
