"""Model flops of a micro-batch: what the mathematics of a step asks for, whatever the machine does besides.

A multiplication with its addition is two flops. A linear layer of P weights costs 2 P forward at every position, 2 P
backward for the gradient of its input, where anything before it learns, and 2 P for that of its weights, where they learn
(together the 6 P of Kaplan et al., arXiv 2001.08361). Attention over p pairs of positions costs 4 p heads x width forward
and twice that backward (appendix B of PaLM, arXiv 2204.02311); causal attention inside an episode of n has n (n + 1) / 2
pairs. The head counts where something is supervised, the tower at every picture or tile. Padding, activations that are
computed again, norms and softmax count nothing, so that MFU only rises when a run gets quicker. Experts are counted as
far as they are linear layers of their own.
"""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from train.data.records import Batch

if TYPE_CHECKING:
    from train.model.parts import Parts

ORDER = ("vision", "projector", "embeddings", "language", "head")
"""The parts as a picture and its text pass through them."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Cost:
    """Flops of a part, forward and backward."""

    position: float = 0.0  # at every position that the part sees
    pair: float = 0.0  # for every pair of positions that see each other


@dataclass(frozen=True)
class Learns:
    """What the gradient has to pass."""

    trained: frozenset[str]  # names of parameters that learn
    before: Mapping[str, bool]  # part -> whether anything in an earlier part learns

    @classmethod
    def of(cls, model: nn.Module, parts: "Parts") -> "Learns":
        """Of a prepared model."""
        trained = frozenset(name for name, value in model.named_parameters(remove_duplicate=False) if value.requires_grad)
        learning = {parts.part_of(name) for name in trained}
        return cls(trained, {part: bool(learning & set(ORDER[:place])) for place, part in enumerate(ORDER)})


class Flops:
    """Counts the model flops of micro-batches from their shapes and segments; holds no weights."""

    def __init__(self, language: Cost, head: Cost, projector: Cost, tower: "Tower", image_token: int | None) -> None:
        self.language, self.head, self.projector, self.tower = language, head, projector, tower
        self._image_token = image_token

    @classmethod
    def of(cls, model: nn.Module, parts: "Parts") -> "Flops":
        """For a prepared model (frozen, adapters in), before it is distributed or compiled; on meta as well."""
        learns, config = Learns.of(model, parts), model.config
        language, head, projector, vision = (
            _cost(model, parts, part, learns) for part in ("language", "head", "projector", "vision")
        )
        text = config.get_text_config(decoder=True)
        width = text.num_attention_heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
        passes = _attention_passes(model, parts, "language", learns, text.num_hidden_layers)
        token = getattr(config, "image_token_id", None) or getattr(config, "image_token_index", None)
        return cls(replace(language, pair=4 * width * passes), head, projector, _tower(model, parts, learns, vision), token)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """[] float64 on the batch's device: flops of forward and backward. Waits for no GPU."""
        real, pairs = causal_pairs(batch.segments)
        supervised = (batch.weights > 0).sum(dtype=torch.float64)
        seen = batch.inputs["input_ids"] == (-1 if self._image_token is None else self._image_token)
        image_tokens = seen.sum(dtype=torch.float64)
        text = real * self.language.position + pairs * self.language.pair + supervised * self.head.position
        return text + image_tokens * self.projector.position + self.tower(batch.inputs)


def causal_pairs(segments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of segments [B, L]: positions that are no padding, and pairs of positions that see each other; [] float64."""
    lengths = torch.zeros(segments.shape[0], segments.shape[1] + 1, dtype=torch.float64, device=segments.device)
    lengths.scatter_add_(1, segments.long(), torch.ones_like(segments, dtype=torch.float64))
    lengths = lengths[:, 1:]  # padding is segment 0
    return lengths.sum(), (lengths * (lengths + 1) / 2).sum()


def _cost(model: nn.Module, parts: "Parts", part: str, learns: Learns) -> Cost:
    """Of the weights of a part, in the order in which the part has them."""
    flops, below = 0.0, learns.before[part]
    for name, weight in _weights(model, parts, part):
        learning = name in learns.trained
        flops += weight.numel() * (2 + 2 * below + 2 * learning)
        below = below or learning
    return Cost(flops)


def _weights(model: nn.Module, parts: "Parts", part: str) -> Iterable[tuple[str, torch.Tensor]]:
    """Weights of linear layers and convolutions, adapters among them."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, *CONVOLUTIONS)) and parts.part_of(f"{name}.weight") == part:
            yield f"{name}.weight", module.weight


def _attention_passes(model: nn.Module, parts: "Parts", part: str, learns: Learns, layers: int) -> float:
    """Layers that attend, weighted by what they cost: 1 forward alone, 3 where gradients pass as well."""
    below, passes = learns.before[part], 0.0
    blocks = [block for block in parts.blocks if parts.part_of(f"{block}.weight") == part]
    for block in blocks:
        below = below or any(name.startswith(f"{block}.") for name in learns.trained)
        passes += 3 if below else 1
    return layers * passes / len(blocks) if blocks else layers * (3 if below else 1)


class Tower:
    """Flops of the pictures of a micro-batch, by a formula for transformers over patches."""

    def __init__(self, cost: Cost, windowed: Cost = Cost(), patch: int = 1, window: int = 0) -> None:
        """`windowed`: of blocks whose patches see only the `window` patches beside them."""
        self._cost, self._windowed, self._patch, self._window = cost, windowed, patch, window

    def __call__(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """[] float64, on the device of the pictures."""
        pixels, grids = inputs.get("pixel_values"), inputs.get("image_grid_thw")
        if pixels is None:
            return inputs["input_ids"].new_zeros((), dtype=torch.float64)
        if grids is not None:  # a row of `pixels` is a patch; a picture is (frames, height, width) of them
            frames, own = grids[:, 0].double(), (grids[:, 1] * grids[:, 2]).double()
            return self._of(frames, own).sum()
        return tiles(pixels) * self.picture(pixels)

    def picture(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of one picture or tile as large as those of `pixels` [..., 3, H, W]."""
        patches = (pixels.shape[-2] // self._patch) * (pixels.shape[-1] // self._patch)
        return self._of(*torch.tensor([1, patches], dtype=torch.float64, device=pixels.device))

    def _of(self, frames: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        near = patches.clamp(max=self._window)
        each = patches * (self._cost.position + patches * self._cost.pair + near * self._windowed.pair)
        return frames * each


class MeasuredTower(Tower):
    """Counted once for every size of picture, on a copy of the tower without weights."""

    def __init__(self, tower: nn.Module, otherwise: Tower, layer: int | None = None) -> None:
        """`layer` says which of the tower's hidden states is used, and so how deep its gradient begins."""
        self._tower, self._otherwise, self._layer = _without_weights(tower), otherwise, layer
        self._known: dict[tuple[int, ...], float | None] = {}

    def picture(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of one picture or tile; by the formula where the tower cannot run without numbers."""
        size = tuple(pixels.shape[-3:])
        if size not in self._known:
            self._known[size] = _measured(self._tower, size, self._layer)
        known = self._known[size]
        if known is None:
            return self._otherwise.picture(pixels)
        return torch.tensor(known, dtype=torch.float64, device=pixels.device)


def tiles(pixels: torch.Tensor) -> torch.Tensor:
    """Pictures of [N, 3, H, W] or tiles of [B, N, 3, H, W], those of nothing but zeros, which pad, left out; [] float64."""
    if pixels.ndim == 4:
        return pixels.new_tensor(pixels.shape[0], dtype=torch.float64)
    return pixels[..., ::7, ::7].ne(0).flatten(-3).any(-1).sum(dtype=torch.float64)


def _tower(model: nn.Module, parts: "Parts", learns: Learns, cost: Cost) -> Tower:
    vision: Any = getattr(model.config, "vision_config", None)
    depth = len([block for block in parts.blocks if parts.part_of(f"{block}.weight") == "vision"])
    width, passes = _attention_width(model, parts), _attention_passes(model, parts, "vision", learns, depth)
    patch, window = getattr(vision, "patch_size", None), getattr(vision, "window_size", None)
    whole = 1.0
    if window and depth and hasattr(vision, "fullatt_block_indexes"):  # Qwen2.5-VL
        whole = len(vision.fullatt_block_indexes) / depth
    patch = int(patch) if isinstance(patch, int) else 1
    near = (int(window) // patch) ** 2 if whole < 1 and window else 0
    pair = 4 * width * passes
    formula = Tower(replace(cost, pair=pair * whole), Cost(pair=pair * (1 - whole)), patch, near)
    if len(parts.vision) != 1 or hasattr(vision, "spatial_merge_size"):  # patches come cut already, as Qwen2-VL's do
        return formula
    layer = getattr(model.config, "vision_feature_layer", None)
    return MeasuredTower(model.get_submodule(parts.vision[0]), formula, layer if isinstance(layer, int) else None)


def _attention_width(model: nn.Module, parts: "Parts") -> int:
    """Heads x width of a head in the tower, by its projections; 0 where nothing attends."""
    for name, module in model.named_modules():
        part, shares = name.rpartition(".")[2], {"q_proj": 1, "query": 1, "qkv": 3}
        width = getattr(module, "out_features", None)
        if width and part in shares and parts.part_of(f"{name}.weight") == "vision":
            return int(width) // shares[part]
    return 0


def _without_weights(module: nn.Module) -> nn.Module:
    """The module with tensors of the same shapes that hold nothing."""
    known: dict[int, Any] = {}
    for parameter in module.parameters():
        empty = torch.empty_like(parameter, device="meta")
        known[id(parameter)] = nn.Parameter(empty, parameter.requires_grad)
    known |= {id(buffer): torch.empty_like(buffer, device="meta") for buffer in module.buffers()}
    return copy.deepcopy(module, known)


def counter() -> Any:
    """torch's counter, put right where it takes the backward of a convolution in groups for one without."""
    from torch.utils.flop_counter import FlopCounterMode

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _convolution_backward})


def _convolution_backward(gradient: Any, _inputs: Any, weight: Any, *more: Any, **_known: Any) -> int:
    """As much as forward, 2 x positions x weights of a channel, for each of the inputs' and the weights' gradient."""
    transposed, wanted = more[4], more[7]
    over = _inputs if transposed else gradient
    return int(2 * math.prod(over) * math.prod(weight[1:]) * (bool(wanted[0]) + bool(wanted[1])))


def _measured(tower: nn.Module, size: tuple[int, ...], layer: int | None) -> float | None:
    """Flops of the forward and, where it learns, the backward of one picture [3, H, W]; None where that fails."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    dtype = next((p.dtype for p in tower.parameters() if p.is_floating_point()), torch.float32)
    pixels = torch.empty(1, *size, dtype=dtype, device="meta")
    try:
        with counter() as counted, sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            seen = _seen(tower, pixels, layer)
            if seen.requires_grad:
                seen.sum().backward()
    except Exception:  # a tower may look at numbers, which there are none of here, and fail in any way
        return None
    return float(counted.get_total_flops())


def _seen(tower: nn.Module, pixels: torch.Tensor, layer: int | None) -> torch.Tensor:
    """What of the tower's output goes on to the projector."""
    output: Any = tower(pixels) if layer is None else tower(pixels, output_hidden_states=True)
    if isinstance(output, torch.Tensor):
        return output
    found: torch.Tensor = output["last_hidden_state"] if layer is None else output["hidden_states"][layer]
    return found
