"""How long training waits for a checkpoint: ours beside torch.distributed.checkpoint and torch.save, in one run.

    python benchmarks/bench_checkpoint.py [--rounds 3] [--out DIR]

A Llama of SmolLM2-135M's shape with AdamW: 135 M float32 weights and twice as many averages, 1.6 GB. Contenders take
turns; the first round, which also reserves memory, stands apart, of the others the median counts.
"""

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from common import say_machine
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from train.checkpoint import Checkpoints
from train.config import CheckpointSettings
from train.parallel.ranks import Ranks

Save = Callable[[Path, int], Callable[[], None]]
"""Begins a save and gives back what waits for its end."""


def learner() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A model and an optimiser that has taken a step."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
                    num_key_value_heads=3, tie_word_embeddings=True)
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def savers(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Save]:
    """The contenders."""
    keepers: dict[bool, Checkpoints] = {}

    def ours(background: bool) -> Save:
        def save(place: Path, step: int) -> Callable[[], None]:
            settings = CheckpointSettings(background=background, keep=1)
            keeper = keepers.setdefault(background, Checkpoints(place, settings, Ranks.alone()))
            keeper.save(step, model, optimizer, {}, {})
            return keeper.wait

        return save

    def state() -> dict[str, Any]:
        weights, averages = get_state_dict(model, optimizer)
        return {"model": weights, "optim": averages}

    def distributed(writer: Callable[[str], Any]) -> Save:
        def save(place: Path, step: int) -> Callable[[], None]:
            future = dcp.async_save(state(), storage_writer=writer(str(place / str(step))))
            return lambda: (future.result(), None)[1]

        return save

    def whole(place: Path, step: int) -> Callable[[], None]:
        place.mkdir(exist_ok=True)
        torch.save(state(), place / f"{step}.pt")
        return lambda: None

    return {
        "shotcraft, background": ours(True),
        "shotcraft, at once": ours(False),
        "DCP async_save, pickled metadata": distributed(dcp.FileSystemWriter),
        "DCP async_save, HuggingFaceStorageWriter": distributed(partial(HuggingFaceStorageWriter, save_distributed=True)),
        "torch.save": whole,
    }  # fmt: skip


def timed(save: Save, place: Path, step: int) -> tuple[float, float]:
    """Seconds until save returns, and until the checkpoint is there."""
    began = time.perf_counter()
    wait = save(place, step)
    returned = time.perf_counter() - began
    wait()
    return returned, time.perf_counter() - began


def slowed(save: Save, place: Path) -> float:
    """How many times as long a training step takes while a checkpoint is being written."""
    net = torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(8)))
    seen = torch.randn(256, 512)

    def steps(going: Callable[[], bool]) -> float:
        began, count = time.perf_counter(), 0
        while going() or count < 5:
            net(seen).square().mean().backward()
            count += 1
        return (time.perf_counter() - began) / count

    until = time.perf_counter() + 3
    alone = steps(lambda: time.perf_counter() < until)
    writing = threading.Thread(target=save(place, 99))
    writing.start()
    beside = steps(writing.is_alive)
    writing.join()
    return beside / alone


def restores(model: torch.nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> dict[str, float]:
    """Seconds to restore, every byte's digest checked on our side; DCP checks none."""
    began = time.perf_counter()
    Checkpoints(folder / "0", CheckpointSettings(), Ranks.alone()).restore(model, optimizer)
    ours, began = time.perf_counter() - began, time.perf_counter()
    weights, averages = get_state_dict(model, optimizer)
    found = {"model": weights, "optim": averages}
    dcp.load(found, storage_reader=dcp.FileSystemReader(str(next((folder / "2").iterdir()))))
    set_state_dict(model, optimizer, model_state_dict=found["model"], optim_state_dict=found["optim"])
    return {"shotcraft": ours, "DCP": time.perf_counter() - began}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--out", type=Path, default=None)
    asked = options.parse_args()
    say_machine()
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    folder = Path(tempfile.mkdtemp(dir=asked.out))
    try:
        compare(folder, asked.rounds)
    finally:
        shutil.rmtree(folder)
        dist.destroy_process_group()


def compare(folder: Path, rounds: int) -> None:
    model, optimizer = learner()
    contenders = savers(model, optimizer)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for step in range(rounds + 1):
        for number, (name, save) in enumerate(contenders.items()):
            place = folder / str(number)
            if name.startswith(("DCP", "torch")):
                shutil.rmtree(place, ignore_errors=True)
            found[name].append(timed(save, place, step))
    own = median(times[0] for times in found["shotcraft, background"][1:])
    print(f"{'':42} {'first':>8} {'waits':>8} {'ratio':>7} {'on disk':>8} {'steps meanwhile':>16}")
    for number, (name, times) in enumerate(found.items()):
        waits, there = (median(column) for column in zip(*times[1:], strict=True))
        cost = f"{slowed(contenders[name], folder / f'slow{number}'):.2f}x" if "async" in name or "background" in name else "-"
        print(f"{name:42} {times[0][0]:7.2f}s {waits:7.2f}s {waits / own:6.1f}x {there:7.2f}s {cost:>16}")
    for name, seconds in restores(model, optimizer, folder).items():
        print(f"restore, {name:33} {seconds:7.2f}s")


if __name__ == "__main__":
    main()
