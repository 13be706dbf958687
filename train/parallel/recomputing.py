"""Activation checkpointing by block: less is kept of the forward pass, and made again in the backward pass.

`full` keeps a block's inputs alone (about a third more computation); `selective` keeps what is dear to make, the
results of matrix products and of attention, and makes norms, activations and rotations again, which are cheap but
take as much room (arXiv 2205.05198, section 5).

A block keeps its place, name and class: only its `forward` is replaced on the instance. Hooks (those of FSDP, those
by which transformers collects hidden states) stay outside and run once.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from types import MethodType
from typing import Any, Literal, TypeAlias

import torch
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

Recompute: TypeAlias = Literal["none", "selective", "full"]

_aten = torch.ops.aten

KEPT = frozenset(
    {
        _aten.mm.default,
        _aten.addmm.default,
        _aten.convolution.default,
        _aten._scaled_dot_product_flash_attention.default,
        _aten._scaled_dot_product_efficient_attention.default,
        _aten._scaled_dot_product_cudnn_attention.default,
        _aten._scaled_dot_product_flash_attention_for_cpu.default,
        torch.ops.higher_order.flex_attention,
    }
)
"""Operations whose results `selective` keeps. Batched products are not among them: of eager attention they are as
large as the square of a row's length."""

CACHES = {"past_key_values": None, "past_key_value": None, "layer_past": None, "use_cache": False}
"""What a block may be handed for generation: made a second time, it would write into the cache a second time."""


def recompute(block: nn.Module, how: Recompute) -> None:
    """Replaces the block's forward, in place, by one that recomputes; without gradients it is as it was."""
    if how != "none":
        block.forward = MethodType(_recomputing(type(block).forward, how), block)


@lru_cache(maxsize=64)  # one function for all blocks of a kind, so that torch.compile compiles it once
def _recomputing(forward: Callable[..., Any], how: Recompute) -> Callable[..., Any]:
    more = {"context_fn": partial(create_selective_checkpoint_contexts, _policy)} if how == "selective" else {}

    def recomputed(block: nn.Module, *args: Any, **inputs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(block, *args, **inputs)
        inputs |= {name: nothing for name, nothing in CACHES.items() if name in inputs}
        return checkpoint(forward, block, *args, use_reentrant=False, **more, **inputs)

    return recomputed


def _policy(_context: Any, operation: Any, *_args: Any, **_kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operation in KEPT else CheckpointPolicy.PREFER_RECOMPUTE
