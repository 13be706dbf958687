"""What a rank's memory will hold, estimated without any: weights by their shapes, activations by a step on fake tensors.

A forward and backward pass of the language model runs on tensors that have shapes and no content, and torch's memory
tracker notes what is alive at the worst moment, under the run's own numbers and recomputing. Towers that learn are run
likewise where they can; pictures through frozen towers leave nothing behind.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from train.parallel.recomputing import recompute

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.config import TrainConfig
    from train.model.parts import Parts

CONTEXT = 0.6e9
"""Bytes that CUDA and its libraries take on a GPU."""

FIRST_STEP = 0.4e9
"""Bytes that a process on a CPU has after its first steps and no tensor accounts for: kernels, the allocator's gaps. Measured
on three runs of a 36 M model (docs/how-to/read-curves.md)."""

FEW = 6
"""Blocks up to which a model is run whole."""

BY_HAND = 34
"""Bytes that a layer keeps by position and unit of width in half precision (arXiv 2205.05198, equation 1, without scores)."""


@dataclass(frozen=True)
class MicroBatch:
    """What a micro-batch is like on average."""

    rows: int
    length: int  # positions of a row
    supervised: float  # of a row
    images: float  # of a row


@dataclass(frozen=True)
class Layout:
    """How the model lies on the ranks."""

    shards: int  # ranks that hold the model together; 1 without sharding
    sharded: bool
    replicated_tower: bool  # every rank holds the frozen tower


def memory(
    model: "PreTrainedModel", parts: "Parts", config: "TrainConfig", batch: MicroBatch, layout: Layout
) -> dict[str, float]:
    """Bytes of one rank by what they are for, and `all` of them, for a prepared model on the meta device.

    The model is used up: its weights are fakes afterwards.
    """
    found = {
        "weights": _weights(model, parts, layout),
        "gradients": sum(4.0 * p.numel() for p in model.parameters() if p.requires_grad) / layout.shards,
        "optimizer": sum(8.0 * p.numel() for p in model.parameters() if p.requires_grad) / layout.shards,
        "gathered": _gathered(model, parts, config) if layout.sharded else 0.0,
        "checkpoint_copy": _checkpoint_copy(model, config, layout),
        "program": _program(model, config),
        "activations": activations(model, parts, config, batch, layout.sharded),
    }
    return {**found, "all": sum(found.values())}


def _weights(model: "PreTrainedModel", parts: "Parts", layout: Layout) -> float:
    total = float(sum(buffer.numel() * buffer.element_size() for buffer in model.buffers()))
    for name, parameter in model.named_parameters():
        whole = layout.replicated_tower and not parameter.requires_grad and parts.part_of(name) == "vision"
        total += parameter.numel() * parameter.element_size() / (1 if whole else layout.shards)
    return total


def _gathered(model: "PreTrainedModel", parts: "Parts", config: "TrainConfig") -> float:
    """Two of the largest blocks, one in use and one on its way, and what is in no block; in the computation's type."""
    size = getattr(torch, config.compute.dtype).itemsize
    blocks = [sum(p.numel() for p in model.get_submodule(name).parameters()) for name in parts.blocks] or [0]
    rest = sum(p.numel() for p in model.parameters()) - sum(blocks)
    return float(size * (2 * max(blocks) + rest))


def _checkpoint_copy(model: nn.Module, config: "TrainConfig", layout: Layout) -> float:
    """Trained weights and AdamW's averages again, which a thread writes while training goes on. They lie in the host's memory,
    which is the rank's own on a CPU alone."""
    if _on_gpu(config) or not config.checkpoint.background:
        return 0.0
    return 12.0 / layout.shards * float(sum(p.numel() for p in model.parameters() if p.requires_grad))


def _on_gpu(config: "TrainConfig") -> bool:
    return config.compute.device == "cuda" or (config.compute.device == "auto" and torch.cuda.is_available())


def _program(model: nn.Module, config: "TrainConfig") -> float:
    """Interpreter and libraries. On a CPU what this process, which has imported most of them, holds now, what a first step
    adds (see FIRST_STEP), and the pages of the weights' file, which stay mapped."""
    from train.metrics.meter import memory as held

    if _on_gpu(config):
        return CONTEXT
    mapped = 4 * sum(parameter.numel() for parameter in model.parameters())
    return float(held(torch.device("cpu"))["now"] * 1e9 + FIRST_STEP + mapped)


def activations(model: "PreTrainedModel", parts: "Parts", config: "TrainConfig", batch: MicroBatch, sharded: bool) -> float:
    """Bytes that forward and backward of a micro-batch need at the worst moment, besides weights and gradients."""
    learning = {parts.part_of(name) for name, parameter in model.named_parameters() if parameter.requires_grad}
    own, moving = config.compute.dtype == "bfloat16", {"vision", "projector", "embeddings"}
    _fake(model, torch.bfloat16 if own and sharded else None)
    blocks: dict[str, list[str]] = {"language": [], "vision": []}
    for name in parts.blocks:
        blocks.setdefault(_part_of_block(model, parts, name), []).append(name)
    for name in blocks["language"] + (blocks["vision"] if "vision" in learning else []):
        recompute(model.get_submodule(name), config.compute.recompute)
    cast, before = own and not sharded, bool(learning & moving)
    text = _drawn_out(model, blocks["language"], cast, lambda: _text_loss(model, parts, batch, before, own and sharded))
    text = text if text is not None else _by_hand(model.config.get_text_config(decoder=True), batch.rows * batch.length)
    if "vision" not in learning or not batch.images:
        return text
    size = getattr(model.config.vision_config, "image_size", 224)
    shape = (max(1, round(batch.rows * batch.images)), 3, *((size, size) if isinstance(size, int) else size))
    tower = model.get_submodule(parts.vision[0])
    numbers = next(tower.parameters()).dtype
    seen = _drawn_out(model, blocks["vision"], cast, lambda: _first(tower(torch.empty(shape, dtype=numbers))).sum())
    patches = shape[0] * (shape[2] // getattr(model.config.vision_config, "patch_size", 16)) ** 2
    return text + (seen if seen is not None else _by_hand(model.config.vision_config, patches))


def _drawn_out(model: nn.Module, blocks: Sequence[str], cast: bool, loss: Callable[[], torch.Tensor]) -> float | None:
    """The peak of a pass; of many blocks, all alike, by passes through two and four of them."""
    parent, _, _ = blocks[0].rpartition(".") if blocks else ("", "", "")
    whole = model.get_submodule(parent)
    if len(blocks) <= FEW or not isinstance(whole, nn.ModuleList) or len(whole) != len(blocks):
        return _peak(model, cast, loss)
    outer, _, name = parent.rpartition(".")
    found = []
    for count in (2, 4):
        setattr(model.get_submodule(outer), name, nn.ModuleList(list(whole)[:count]))
        found.append(_peak(model, cast, loss))
    setattr(model.get_submodule(outer), name, whole)
    few, more = found
    return None if few is None or more is None else few + (more - few) / 2 * (len(blocks) - 2)


def _part_of_block(model: nn.Module, parts: "Parts", block: str) -> str:
    first = next((name for name, _ in model.get_submodule(block).named_parameters()), "")
    return parts.part_of(f"{block}.{first}")


def _fake(model: nn.Module, dtype: torch.dtype | None) -> None:
    """Puts tensors of shape and no content in place of the model's, gradients included. Tied ones stay tied."""
    known: dict[int, nn.Parameter] = {}
    with _fakes():
        for module in model.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None:
                    module._parameters[name] = known.setdefault(id(parameter), _fake_parameter(parameter, dtype))
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu")


def _fake_parameter(parameter: nn.Parameter, dtype: torch.dtype | None) -> nn.Parameter:
    made = nn.Parameter(torch.empty(parameter.shape, dtype=dtype or parameter.dtype, device="cpu"), parameter.requires_grad)
    if made.requires_grad:
        made.grad = torch.empty_like(made)
    return made


_MODES: list[Any] = []


def _fakes() -> Any:
    """The one mode that all fakes of this process belong to."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    if not _MODES:
        _MODES.append(FakeTensorMode(allow_non_fake_inputs=True))
    return _MODES[0]


def _peak(model: nn.Module, cast: bool, loss: Callable[[], torch.Tensor]) -> float | None:
    """Bytes alive at the worst moment of a forward and backward pass, weights and gradients left out; None if it fails."""
    try:
        tracker = _tracker()
        with _fakes():
            tracker.track_external(model)
            with tracker:
                with torch.autocast("cpu", torch.bfloat16, enabled=cast):
                    value = loss()
                if value.requires_grad:
                    value.backward()
    except Exception:  # foreign models may look at numbers, which there are none of here
        return None
    return _passing(tracker.get_tracker_snapshot("peak"))


def _tracker() -> Any:
    """torch's memory tracker, without hooks on gradients: they are there before, and frozen weights refuse them."""
    from torch.distributed._tools.mem_tracker import MemTracker

    class Tracker(MemTracker):  # type: ignore[misc]  # of a package without types
        def _track_module_params_and_buffers(self, module: nn.Module, install_grad_hooks: bool = True) -> Any:
            return super()._track_module_params_and_buffers(module, install_grad_hooks=False)

    return Tracker()


def _passing(snapshot: Mapping[Any, Mapping[Any, int]]) -> float:
    """What of a snapshot is neither weight nor gradient."""
    lasting = ("Parameter", "Buffer", "Gradient", "Optstate", "Total")
    return float(sum(size for kinds in snapshot.values() for kind, size in kinds.items() if _name(kind) not in lasting))


def _name(kind: Any) -> str:
    return str(getattr(kind, "value", kind)).split(".")[-1]


def _text_loss(model: "PreTrainedModel", parts: "Parts", batch: MicroBatch, moving: bool, half: bool) -> torch.Tensor:
    """A loss of the language model over fake tokens. `moving`: something before it learns."""
    text = model.config.get_text_config(decoder=True)
    shape, numbers = (batch.rows, batch.length), torch.bfloat16 if half else torch.float32
    embedded = torch.empty(*shape, text.hidden_size, dtype=numbers, requires_grad=moving)
    mask = torch.ones(batch.rows, 1, batch.length, batch.length, dtype=torch.bool)
    positions = torch.arange(batch.length)[None].expand(shape)
    decoder = model.get_submodule(parts.language[0])
    hidden = _first(decoder(inputs_embeds=embedded, attention_mask=mask, position_ids=positions, use_cache=False))
    count = max(1, min(batch.length, round(batch.supervised)))
    logits: torch.Tensor = model.get_output_embeddings()(hidden[:, :count])
    labels = torch.zeros(batch.rows * count, dtype=torch.int64)
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels)


def _first(output: Any) -> torch.Tensor:
    found: torch.Tensor = output if isinstance(output, torch.Tensor) else output[0]
    return found


def _by_hand(config: Any, positions: float) -> float:
    layers: int = getattr(config, "num_hidden_layers", None) or getattr(config, "depth", None) or 12
    width: int = getattr(config, "hidden_size", None) or getattr(config, "embed_dim", None) or 1024
    return float(BY_HAND * layers * width * positions)
