"""Attention that keeps the episodes of a packed row apart: a block-diagonal causal mask, as each attention function wants it.

transformers hands a four-dimensional mask through to the attention function as it is, and each function reads
it in its own way: `sdpa` takes booleans, `eager` adds numbers, `flex_attention` wants a BlockMask, and our `segmented`
the episodes' numbers. The wrong kind is not refused there, it computes something else; so masks are made here only,
and whatever cannot be isolated by such a mask is refused before it trains on a leak.
"""

from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from curate.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch.nn.attention.flex_attention import BlockMask
    from transformers import PretrainedConfig, PreTrainedModel

Implementation: TypeAlias = Literal["sdpa", "eager", "flex_attention", "segmented"]
Mask: TypeAlias = "torch.Tensor | BlockMask"

WHOLE, SLIDING = "full_attention", "sliding_attention"
"""Kinds of layers that attend by a mask alone. Others (linear, chunked, recurrent) carry a state past it."""


def isolating_mask(model: "PreTrainedModel", segments: "torch.Tensor") -> Mask:
    """The mask for `model` over `segments` [B, L], in its kind and dtype; ConfigError where the model cannot be isolated."""
    implementation = implementation_of(model)
    window = sliding_window_of(model)
    if window is not None and segments.shape[1] > window:
        raise ConfigError(
            f"the model attends over a sliding window of {window} positions, which an explicit mask switches off,"
            f" and rows have {segments.shape[1]}; set max_tokens to at most {window}"
        )
    return attention_mask(segments, implementation, model.dtype)


def attention_mask(segments: "torch.Tensor", implementation: Implementation, dtype: "torch.dtype") -> Mask:
    """Who sees whom: position q sees k when k is not after q and both are of the same episode.

    `segments` [B, L] numbers the episodes of each row, 0 is padding. Gives booleans [B, 1, L, L] for sdpa, numbers of
    `dtype` [B, 1, L, L] to be added to the scores for eager, a BlockMask for flex_attention, and the numbers themselves
    [B, 1, 1, L] for segmented. Under a mask padding sees the padding before it, so that no position sees nothing,
    which would be a division by zero.
    """
    if implementation == "sdpa":
        return _seen(segments)
    if implementation == "eager":
        return _added(segments, dtype)
    if implementation == "flex_attention":
        return _blocks(segments)
    if implementation == "segmented":
        from train.model.segmented import numbers

        return numbers(segments)
    raise ConfigError(_no_mask(str(implementation)))


def _seen(segments: "torch.Tensor") -> "torch.Tensor":
    """[B, 1, L, L] boolean."""
    same = segments[:, None, :, None] == segments[:, None, None, :]
    return same.tril()


def _added(segments: "torch.Tensor", dtype: "torch.dtype") -> "torch.Tensor":
    """[B, 1, L, L], 0 where seen and the least number of `dtype` elsewhere."""
    import torch

    if not dtype.is_floating_point:
        raise ConfigError(f"eager attention adds its mask to the scores: give a floating-point dtype, not {dtype}")
    hidden = torch.finfo(dtype).min
    return torch.zeros((), dtype=dtype, device=segments.device).where(_seen(segments), hidden)


def _blocks(segments: "torch.Tensor") -> "BlockMask":
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(row: "torch.Tensor", _head: "torch.Tensor", query: "torch.Tensor", key: "torch.Tensor") -> "torch.Tensor":
        return (segments[row, query] == segments[row, key]) & (query >= key)

    rows, length = segments.shape
    return create_block_mask(sees, B=rows, H=None, Q_LEN=length, KV_LEN=length, device=segments.device)


def implementation_of(model: "PreTrainedModel") -> Implementation:
    """The attention function of the model's language part; ConfigError where no mask of ours isolates it."""
    text = _text_config(model)
    name = str(getattr(text, "_attn_implementation", None))
    if name not in get_args(Implementation):
        raise ConfigError(_no_mask(name))
    kinds = set(getattr(text, "layer_types", None) or [WHOLE])
    if getattr(model, "_is_stateful", False) or not kinds <= {WHOLE, SLIDING}:
        raise ConfigError(
            f"layers of the kind {_others(kinds)} pass a state from episode to episode: do not pack for this model"
        )
    if _builds_own_masks(model):
        raise ConfigError(
            f"{type(model).__name__} lets image tokens see those after them, which a causal mask takes away:"
            " do not pack for this model"
        )
    return cast(Implementation, name)


def sliding_window_of(model: "PreTrainedModel") -> int | None:
    """Positions that a layer with a sliding window sees; None where every layer sees all."""
    text = _text_config(model)
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None)
    return int(window) if window and (kinds is None or SLIDING in kinds) else None


def _text_config(model: "PreTrainedModel") -> "PretrainedConfig":
    return model.config.get_text_config(decoder=True)


def _builds_own_masks(model: "PreTrainedModel") -> bool:
    """Whether the model's masks are other than causal, as PaliGemma's and Gemma 3's are.

    Such classes have a method of their own that makes the masks for generation; wrappers pass the question on.
    """
    from transformers import GenerationMixin

    plain = getattr(GenerationMixin, "create_masks_for_generate", None)
    return getattr(model, "create_masks_for_generate", plain) is not plain


def _no_mask(name: str) -> str:
    ways = ", ".join(get_args(Implementation))
    return f"attention {name!r} takes no mask that keeps packed episodes apart; use one of {ways}, or do not pack"


def _others(kinds: set[str]) -> str:
    return ", ".join(sorted(kinds - {WHOLE, SLIDING})) or "recurrent"
