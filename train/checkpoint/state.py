"""What of a model and its optimiser belongs into a checkpoint, under which names, and which piece this rank holds.

model/NAME            parameters that are trained, and buffers that the model keeps
optim/NAME/exp_avg    what the optimiser keeps for a parameter

Frozen parameters come from the model that the run started from; a checksum tells whether it is still the same one.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from train.checkpoint.layout import Adapter
from train.checkpoint.shards import Box, Chunk

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

MODEL, OPTIMIZER = "model/", "optim/"


def put_away(model: "nn.Module") -> None:
    """Leaves every sharded module as its shards, which a forward pass without a backward one does not."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def parameters_of(model: "nn.Module") -> dict[str, Tensor]:
    """Parameters by name; tied ones once, under their first name."""
    return dict(model.named_parameters())


def kept_tensors(model: "nn.Module") -> dict[str, Tensor]:
    """Trained parameters and lasting buffers, by name."""
    trained = {name: parameter for name, parameter in parameters_of(model).items() if parameter.requires_grad}
    return trained | buffers_of(model)


def buffers_of(model: "nn.Module") -> dict[str, Tensor]:
    """Lasting buffers by name."""
    lasting = {}
    for path, module in model.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set:
                lasting[f"{path}.{name}" if path else name] = buffer
    return lasting


def optimizer_tensors(model: "nn.Module", optimizer: "Optimizer | None") -> dict[str, Tensor]:
    """The optimiser's state by parameter name; nothing for parameters that never had a gradient."""
    if optimizer is None:
        return {}
    names = {parameter: name for name, parameter in parameters_of(model).items()}
    return {
        f"{names[parameter]}/{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def chunks_of(model: "nn.Module", optimizer: "Optimizer | None", rank: int) -> list[Chunk]:
    """The pieces that this rank writes: every element of the state is written by exactly one rank."""
    named = {MODEL + name: tensor for name, tensor in kept_tensors(model).items()}
    named |= {OPTIMIZER + name: tensor for name, tensor in optimizer_tensors(model, optimizer).items()}
    chunks = (_chunk(name, tensor, rank) for name, tensor in sorted(named.items()))
    return [chunk for chunk in chunks if chunk is not None]


def _chunk(name: str, tensor: Tensor, rank: int) -> Chunk | None:
    if not _writes(tensor, rank):
        return None
    local, (offset, _) = local_of(tensor), box_of(tensor)
    return Chunk(name, local, offset, tuple(tensor.shape)) if local.numel() or rank == 0 else None


def _writes(tensor: Tensor, rank: int) -> bool:
    """Whether this rank is the one, of those that hold the same piece, that writes it."""
    if not isinstance(tensor, DTensor):
        return rank == 0
    coordinates = tensor.device_mesh.get_coordinate() or ()
    return all(at == 0 for at, placed in zip(coordinates, tensor.placements, strict=True) if placed.is_replicate())


def local_of(tensor: Tensor) -> Tensor:
    """This rank's piece; writing into it writes into the tensor."""
    return tensor.detach().to_local() if isinstance(tensor, DTensor) else tensor.detach()


def box_of(tensor: Tensor) -> Box:
    """Where this rank's piece lies in the whole tensor."""
    if not isinstance(tensor, DTensor):
        return (0,) * tensor.dim(), tuple(tensor.shape)
    (piece,) = tensor.__create_chunk_list__()
    return tuple(piece.offsets), tuple(piece.sizes)


def adapters_of(model: "nn.Module") -> dict[str, Adapter]:
    """LoRA layers by module name, as peft injects them."""
    found = {}
    for path, module in model.named_modules():
        if hasattr(module, "lora_A") and "default" in getattr(module, "scaling", {}):
            found[path] = Adapter(rank=int(module.r["default"]), scaling=float(module.scaling["default"]))
    return found


SLICE = {"cpu": 1 << 16, "cuda": 1 << 24}
"""Elements that a checksum looks at in one go; on a CPU as many as its cache holds."""

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def checksum(tensor: Tensor, rank: int) -> int:
    """This rank's share, modulo 2^64, of a sum over a tensor's elements that depends on their bits and places.

    The shares of all ranks add up to the same number however the tensor is cut. It guards against mistakes, not malice.
    """
    if not _writes(tensor, rank) or not local_of(tensor).numel():
        return 0
    local, (offset, shape) = local_of(tensor), box_of(tensor)
    if not shape:
        local, offset, shape = local[None], (0,), (1,)
    table, total = local.reshape(shape[0], -1), 0
    columns = _mixed(~_places(offset[1:], shape[1:], tuple(tensor.shape)[1:], local.device))  # other ones than those of rows
    step = max(1, SLICE.get(local.device.type, 1 << 16) // columns.numel())
    for start in range(0, shape[0], step):
        bits = table[start : start + step].contiguous().view(_BITS[local.element_size()])
        rows = _mixed(torch.arange(start, start + bits.shape[0], device=local.device) + offset[0])
        total += int((((bits.to(torch.int64) + 1) * columns).sum(1) * rows).sum())
    return total % 2**64


def _places(offset: tuple[int, ...], shape: tuple[int, ...], whole: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers, in the order of memory, of the elements of a box inside a whole; flat."""
    places = torch.zeros((), dtype=torch.int64, device=device)
    for o, n, w in zip(offset, shape, whole, strict=True):
        places = places[..., None] * w + torch.arange(o, o + n, device=device)
    return places.reshape(-1)


def _mixed(places: Tensor) -> Tensor:
    """Odd multipliers that differ from place to place (the first round of splitmix64, wrapping)."""
    mixed = (places + 1) * -7046029254386353131
    return (mixed ^ (mixed >> 29)) | 1


def frozen_shares(model: "nn.Module", rank: int) -> dict[str, tuple[str, int]]:
    """Type and this rank's share of the checksum of every parameter that is not trained."""
    return {
        name: (str(parameter.dtype).removeprefix("torch."), checksum(parameter, rank))
        for name, parameter in parameters_of(model).items()
        if not parameter.requires_grad
    }


def summed(shares: list[dict[str, list[object]]]) -> dict[str, tuple[str, str]]:
    """The shares of all ranks as (type, checksum) by name."""
    totals: dict[str, tuple[str, str]] = {}
    for name, (dtype, _) in shares[0].items():
        total = sum(int(str(share[name][1])) for share in shares) % 2**64
        totals[name] = str(dtype), f"{total:016x}"
    return totals


def differing(saved: Mapping[str, tuple[str, str]], present: Mapping[str, tuple[str, str]]) -> str:
    """The first frozen parameter that is not as it was, and how many more; "" for none."""
    names = [name for name in sorted({*saved, *present}) if tuple(saved.get(name, ())) != tuple(present.get(name, ()))]
    return (names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")) if names else ""
