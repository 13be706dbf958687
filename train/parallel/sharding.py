"""A plain model laid on the ranks, from outside: recomputing, compiling, then FSDP2 by block.

Every block is one group of parameters that is gathered when it is needed; embeddings, projector, norms and head
are the root's group. Gradients come out as sums over all ranks: the loss is divided by the tokens of the whole
step before, so nothing is to be averaged (see docs/decisions.md).
"""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from curate.errors import ConfigError
from train.config import ComputeSettings, ParallelSettings
from train.parallel.ranks import Ranks
from train.parallel.recomputing import recompute

if TYPE_CHECKING:
    from train.model.parts import Parts


def distribute(model: nn.Module, parts: "Parts", compute: ComputeSettings, parallel: ParallelSettings, ranks: Ranks) -> None:
    """Recomputing, compiling and sharding as the settings ask for, in place; the model is on the rank's device then.

    Call it when it is settled what is trained, and in which types. ConfigError where a trained parameter cannot be
    sharded.
    """
    blocks = [model.get_submodule(name) for name in parts.blocks]
    for block in _on_the_way_back(model, parts):
        recompute(block, compute.recompute)
    for block in blocks if compute.compile else ():
        if not _by_lengths(block):
            block.forward = torch.compile(block.forward)  # inside the hooks, which stay as they are
    if ranks.mesh is None:
        model.to(ranks.device)
        return
    if (projection := getattr(model, "aim", None)) is not None:
        _shard_alone(model, projection, ranks)
        return
    _check_shapes(model)
    whole = _left_whole(model, parts, parallel)
    _move(model, whole, ranks.device)
    for block in blocks:
        if any(parameter not in whole for parameter in block.parameters()):
            fully_shard(block, mesh=ranks.mesh, mp_policy=_numbers(compute, root=False), ignored_params=whole)
    fully_shard(model, mesh=ranks.mesh, mp_policy=_numbers(compute, root=True), ignored_params=whole)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # no products by 1, which gloo does not know
    _check_complete(model)


def _shard_alone(model: nn.Module, projection: nn.Module, ranks: Ranks) -> None:
    """AIM's frozen model is on every rank as it is, since it is entered by its parts; the projection is sharded."""
    model.to(ranks.device)
    fully_shard(projection, mesh=ranks.mesh)
    assert isinstance(projection, FSDPModule)
    projection.set_gradient_divide_factor(1.0)
    projection.set_force_sum_reduction_for_comms(True)
    _check_complete(model)


def _on_the_way_back(model: nn.Module, parts: "Parts") -> Iterator[nn.Module]:
    """Blocks that the backward pass goes through: those of a frozen tower keep nothing anyhow."""
    learning = {parts.part_of(name) for name, parameter in model.named_parameters() if parameter.requires_grad}
    for name in parts.blocks:
        block = model.get_submodule(name)
        first = next((inner for inner, _ in block.named_parameters()), None)
        if first is not None and (parts.part_of(f"{name}.{first}") != "vision" or "vision" in learning):
            yield block


def _by_lengths(block: nn.Module) -> bool:
    """Whether the block splits its input by a list of lengths (Qwen's towers): it would be compiled anew for every list."""
    return "cu_seqlens" in inspect.signature(type(block).forward).parameters


def _left_whole(model: nn.Module, parts: "Parts", parallel: ParallelSettings) -> set[nn.Parameter]:
    """Frozen parameters that every rank keeps: the towers' if so asked, and single numbers, which have nothing to cut."""
    replicated = parallel.frozen == "replicated"
    return {
        parameter
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and (parameter.ndim == 0 or (replicated and parts.part_of(name) == "vision"))
    }


def _move(model: nn.Module, whole: set[nn.Parameter], device: torch.device) -> None:
    """What FSDP leaves where it is: parameters that stay whole, and the buffers beside them."""
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        for parameter in own:
            if parameter in whole:
                parameter.data = parameter.data.to(device)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)


def _numbers(compute: ComputeSettings, root: bool) -> MixedPrecisionPolicy:
    """Gathered and computed in bfloat16, reduced and kept in float32. Only the root's inputs are cast: pixels come in
    float32, while what passes between blocks has the type that the model's authors chose (angles of rotations)."""
    if compute.dtype == "float32":
        return MixedPrecisionPolicy()
    return MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=root)


def _check_shapes(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.ndim == 0:
            raise ConfigError(
                f"{name} is a single number, which cannot be sharded; freeze it (parts: [{{match: {name}, train: frozen}}])"
            )


def _check_complete(model: nn.Module) -> None:
    """Nothing that learns may be left out, since nobody would sum its gradients."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not isinstance(parameter, DTensor):
            raise AssertionError(f"{name} is trained and not sharded: the ranks would drift apart")


def autocast(compute: ComputeSettings, ranks: Ranks) -> AbstractContextManager[object]:
    """What forward passes run in: bfloat16 by torch.autocast where nothing is sharded, nothing special otherwise."""
    if ranks.mesh is not None or compute.dtype == "float32":
        return nullcontext()
    cast: AbstractContextManager[object] = torch.autocast(ranks.device.type, torch.bfloat16)
    return cast


def clip(parameters: Iterable[nn.Parameter], largest: float | None) -> Tensor:
    """The norm of the whole gradient over all ranks, as a float32 scalar; scales gradients down, in place, to `largest`.

    All ranks must call it alike. Where the norm is no finite number, nothing is scaled.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    norm = torch.stack([_squared(group) for group in _by_layout(gradients)]).sum().sqrt()
    if largest is not None:  # decided where the gradients are: asking for the norm would wait for the GPU
        scale = torch.where(norm.isfinite(), (largest / norm).clamp(max=1), 1).float()
        torch._foreach_mul_([_local(gradient) for gradient in gradients], scale)
    return norm.float()


def _by_layout(gradients: Iterable[Tensor]) -> list[list[Tensor]]:
    """Gradients that lie alike on the ranks, together; plain ones, of which every rank has the whole, are one such group."""
    groups: dict[object, list[Tensor]] = {}
    for gradient in gradients:
        layout = (gradient.device_mesh, gradient.placements) if isinstance(gradient, DTensor) else None
        groups.setdefault(layout, []).append(gradient)
    return list(groups.values())


def _squared(gradients: list[Tensor]) -> Tensor:
    """The squared norm of gradients of one layout: summed over the ranks among which they are cut, not over replicas."""
    norms = torch._foreach_norm([_local(gradient) for gradient in gradients], 2, dtype=torch.float32)
    total = torch.stack(norms).double().square().sum()
    first = gradients[0]
    if isinstance(first, DTensor):
        for dimension, placement in enumerate(first.placements):
            if placement.is_shard():
                dist.all_reduce(total, group=first.device_mesh.get_group(dimension))
    return total


def _local(gradient: Tensor) -> Tensor:
    return gradient.to_local() if isinstance(gradient, DTensor) else gradient
