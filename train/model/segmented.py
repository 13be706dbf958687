"""Attention that goes through a packed row episode by episode: on a CPU, where a mask saves no work.

Given a block-diagonal mask, the CPU's kernels compute the whole square of a row and throw most of it away; of a row of
1,024 positions with six episodes that is ten times what the episodes need. Here the mask is not a mask but
the episodes' numbers, [B, 1, 1, L] int32, which transformers hands through like any four-dimensional mask; every
stretch of equal numbers is attended to by itself. Other masks (generation, unpacked rows) go to `sdpa` as they are.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

SEGMENTED = "segmented"


SHORT = 320
"""Positions up to which plain products beat torch's fused bfloat16 kernel on a CPU, forward and backward together: by 3 at
128 positions, by 1.6 at 300, and no longer at 512. The fused one wins without gradients and in float32."""


def numbers(segments: torch.Tensor) -> torch.Tensor:
    """[B, 1, 1, L] what stands in a mask's place: the episodes' numbers of `segments` [B, L]."""
    return segments.to(torch.int32)[:, None, None]


def stretches(row: list[int]) -> list[tuple[int, int, bool]]:
    """(start, stop, whether it is an episode) for every run of equal numbers; 0 is padding."""
    edges = [0, *(at for at in range(1, len(row)) if row[at] != row[at - 1]), len(row)]
    return [(start, stop, row[start] != 0) for start, stop in pairwise(edges) if start < stop]


def segmented_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """[B, L, H, D] for queries [B, H, L, D] and as many or fewer key heads, as transformers' attention functions do.
    Padding attends to nothing and gets zeros."""
    if attention_mask is None or attention_mask.dtype != torch.int32 or others.get("softcap") is not None:
        given = (module, query, key, value, attention_mask, dropout, scaling)
        result: tuple[torch.Tensor, None] = sdpa_attention_forward(*given, **others)
        return result
    tensors = (query, _for_every_head(key, query), _for_every_head(value, query))
    rows = zip(attention_mask[:, 0, 0].tolist(), zip(*tensors, strict=True), strict=True)
    return torch.stack([_row(numbered, one, dropout, scaling) for numbered, one in rows]), None


def _for_every_head(tensor: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Keys or values [B, G, L, D] repeated to the queries' heads [B, H, L, D]."""
    repeats = query.shape[1] // tensor.shape[1]
    return tensor if repeats == 1 else tensor[:, :, None].expand(-1, -1, repeats, -1, -1).flatten(1, 2)


def _row(numbered: list[int], tensors: Sequence[torch.Tensor], dropout: float, scaling: float | None) -> torch.Tensor:
    """[L, H, D] attention of one row's queries, keys and values [H, L, D].

    They are split and joined, not sliced: a slice's gradient is as long as the row."""
    runs = stretches(numbered)
    lengths = [stop - start for start, stop, _ in runs]
    pieces = zip(*(tensor.split(lengths, 1) for tensor in tensors), strict=True)
    found = [
        _causal(query, key, value, dropout, scaling) if run[2] else torch.zeros_like(value)
        for run, (query, key, value) in zip(runs, pieces, strict=True)
    ]
    return torch.cat(found, 1).transpose(0, 1)


def _causal(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, dropout: float, scaling: float | None
) -> torch.Tensor:
    """[H, n, D] causal attention of one episode."""
    length = query.shape[1]
    if dropout or length > SHORT or query.dtype != torch.bfloat16 or not query.requires_grad:
        tensors = (query[None], key[None], value[None])  # the fused kernel wants four dimensions
        return scaled_dot_product_attention(*tensors, dropout_p=dropout, scale=scaling, is_causal=True)[0]
    hidden = query.new_full((length, length), float("-inf")).triu(1).expand(len(query), -1, -1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return torch.baddbmm(hidden, query, key.transpose(1, 2), alpha=scale).softmax(-1) @ value


AttentionInterface.register(SEGMENTED, segmented_attention)
AttentionMaskInterface.register(SEGMENTED, sdpa_mask)
