"""A net with everything that makes checkpoints hard: tied and odd-shaped weights, buffers, adapters, a frozen bf16 part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from train.checkpoint import Checkpoints
from train.config import CheckpointSettings
from train.parallel.ranks import Ranks


class Net(nn.Module):
    """Words in, words out. `tower` is frozen, `adapted` is under LoRA, `odd` has shapes that no number of ranks divides."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(11, 6)
        self.tower = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)
        self.adapted = nn.Linear(6, 6)
        self.odd = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 1), nn.Linear(1, 6))
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.words.weight
        self.register_buffer("scratch", torch.ones(2), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """[B] to [B, 11]."""
        seen = self.words(ids)
        seen = seen + self.tower(seen.to(self.tower.weight.dtype)).to(seen.dtype)
        seen = self.norm(seen)
        return self.head(seen + self.adapted(seen) + self.odd(seen))


def prepared(lora: bool = True, tower: torch.dtype = torch.bfloat16) -> Net:
    """A net as train.model.tuning leaves one."""
    net = Net()
    net.tower.to(tower).requires_grad_(False)
    if lora:
        from peft import LoraConfig, inject_adapter_in_model

        net.adapted.requires_grad_(False)
        trained = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
        torch.manual_seed(1)
        inject_adapter_in_model(LoraConfig(r=2, lora_alpha=6, target_modules=["adapted"]), net)
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name in trained or "lora_" in name)
    return net


def sharded(net: Net, ranks: Ranks) -> Net:
    """The net on the ranks' mesh, if there is one."""
    if ranks.mesh is not None:
        for block in (net.odd, net):
            fully_shard(block, mesh=ranks.mesh)
            block.set_gradient_divide_factor(1.0)
            block.set_force_sum_reduction_for_comms(True)
    return net


def adamw(net: nn.Module) -> torch.optim.AdamW:
    """An optimiser of what is trained, in two groups."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return torch.optim.AdamW([{"params": trained[1:]}, {"params": trained[:1], "lr": 1e-2}], lr=1e-3)


def take_step(net: Net, optimizer: torch.optim.Optimizer, number: int) -> None:
    """One step that depends on nothing but its number."""
    ids = torch.randint(0, 11, (8,), generator=torch.Generator().manual_seed(number))
    net(ids).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def state(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that must come back, whole."""
    found = dict(net.state_dict())
    for number, values in optimizer.state_dict()["state"].items():
        found |= {f"optim {number} {key}": value for key, value in values.items()}
    return {
        name: (value.full_tensor() if isinstance(value, DTensor) else value).detach().clone() for name, value in found.items()
    }


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two states have the same names and bits."""
    return one.keys() == other.keys() and all(
        value.dtype == other[name].dtype and torch.equal(value, other[name]) for name, value in one.items()
    )


def checkpoints(folder: Path, ranks: Ranks | None = None, **settings: Any) -> Checkpoints:
    """Checkpoints in a folder, silent ones."""
    return Checkpoints(folder, CheckpointSettings(**settings), ranks or Ranks.alone(), say=lambda _: None)


def saved(folder: Path, steps: int = 1, lora: bool = True, **settings: Any) -> tuple[Net, torch.optim.AdamW]:
    """A net that was trained and saved after every step."""
    net = prepared(lora)
    optimizer, keeper = adamw(net), checkpoints(folder, **settings)
    for number in range(1, steps + 1):
        take_step(net, optimizer, number)
        keeper.save(number, net, optimizer, {"step": number}, {"loss": float(number)})
    keeper.wait()
    return net, optimizer
