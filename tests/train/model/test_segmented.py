"""Attention episode by episode gives what a block-diagonal mask gives, forward and backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.model.isolation import attention_mask
from train.model.segmented import SHORT, numbers, segmented_attention, stretches

HEADS, KEYS, WIDTH = 4, 2, 8
ROWS = st.lists(st.integers(1, 9), max_size=4).map(lambda sizes: [n for n, size in enumerate(sizes, 1) for _ in range(size)])


class Layer(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
    num_key_value_groups = HEADS // KEYS
    is_causal = True


def results(
    segments: torch.Tensor, mask: torch.Tensor, dtype: torch.dtype, scaling: float | None = None
) -> list[torch.Tensor]:
    """The output where an episode stands, and the gradients of queries, keys and values."""
    dice = torch.Generator().manual_seed(0)
    rows, length = segments.shape
    tensors = [
        torch.randn(rows, heads, length, WIDTH, generator=dice).to(dtype).requires_grad_() for heads in (HEADS, KEYS, KEYS)
    ]
    query, key, value = tensors
    out, _ = segmented_attention(Layer(), query, key, value, mask, scaling=scaling)
    out = torch.where((segments > 0)[:, :, None, None], out, 0.0)
    (out * torch.randn(out.shape, generator=dice)).sum().backward()
    return [out.detach(), *(tensor.grad for tensor in tensors if tensor.grad is not None)]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(ROWS, min_size=1, max_size=3).filter(any),
    st.sampled_from([(torch.float32, 1e-5), (torch.bfloat16, 0.06)]),
    st.booleans(),
)
def test_it_equals_the_mask(rows: list[list[int]], kind: tuple[torch.dtype, float], scaled: bool) -> None:
    dtype, near = kind
    length = max(map(len, rows)) + 1
    segments = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    scaling = 0.3 if scaled else None
    ours = results(segments, numbers(segments), dtype, scaling)
    masked = results(segments, attention_mask(segments, "sdpa", dtype), dtype, scaling)
    for one, other in zip(ours, masked, strict=True):
        assert torch.allclose(one.float(), other.float(), rtol=near, atol=near)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [SHORT, SHORT + 1])
def test_long_and_short_episodes_agree_with_the_mask(length: int, dtype: torch.dtype) -> None:
    segments = torch.tensor([[1] * length + [2] * 7])
    ours = results(segments, numbers(segments), dtype)
    masked = results(segments, attention_mask(segments, "sdpa", dtype), dtype)
    for one, other in zip(ours, masked, strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten().float(), other.flatten().float(), dim=0) > 0.9999


@given(st.lists(st.integers(0, 3), max_size=20))
def test_stretches_cover_a_row_once_in_order(row: list[int]) -> None:
    found = stretches(row)
    assert [at for start, stop, _ in found for at in range(start, stop)] == list(range(len(row)))
    assert all(
        len({row[at] for at in range(start, stop)}) == 1 and episode == (row[start] > 0) for start, stop, episode in found
    )
