"""What is made a second time comes out the same, and only what should be is."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.train.parallel.test_sharding import ALONE, BF16, FAMILIES, FP32, Case, batches_of, learned, model_of
from train.config import ComputeSettings, ParallelSettings
from train.loss import Targets, token_losses
from train.parallel.recomputing import Recompute, recompute
from train.parallel.sharding import distribute

WAYS: tuple[Recompute, ...] = ("full", "selective")


def compute(how: Recompute) -> ComputeSettings:
    return FP32.model_copy(update={"recompute": how})


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_equal(family: str) -> None:
    plain = learned(Case(family, True), ALONE, [0, 1])
    for how in WAYS:
        made = learned(Case(family, True, compute=compute(how)), ALONE, [0, 1])
        assert made.gradients.keys() == plain.gradients.keys()
        assert all(torch.equal(made.gradients[name], gradient) for name, gradient in plain.gradients.items())


@pytest.mark.parametrize("tower", [False, True])
def test_gradients_are_equal_under_autocast(tower: bool) -> None:
    plain = learned(Case("vicuna", tower, compute=BF16), ALONE, [0, 1])
    for how in WAYS:
        made = learned(Case("vicuna", tower, compute=BF16.model_copy(update={"recompute": how})), ALONE, [0, 1])
        assert all(torch.equal(made.gradients[name], gradient) for name, gradient in plain.gradients.items())


class Counted(TorchDispatchMode):
    """Counts the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(operation.overloadpacket).removeprefix("aten.")
        self.counts[name] = self.counts.get(name, 0) + 1
        return operation(*args, **(kwargs or {}))


def backward_counts(how: Recompute) -> tuple[int, int, int]:
    """Matrix products, attentions and activations that run in a backward pass."""
    model, parts = model_of(Case("vicuna"))
    distribute(model, parts, compute(how), ParallelSettings(), ALONE)
    batch = batches_of("vicuna")[0]
    loss = token_losses(model, batch, Targets.of(batch)).sum()
    with Counted() as counted:
        loss.backward()
    products = sum(counted.counts.get(name, 0) for name in ("mm", "addmm"))
    return products, counted.counts.get("_scaled_dot_product_flash_attention_for_cpu", 0), counted.counts.get("silu", 0)


def test_selective_makes_no_matrix_product_and_no_attention_again_and_full_makes_all() -> None:
    none, selective, full = (backward_counts(how) for how in ("none", "selective", "full"))
    layers, a_layer = 2, 7  # q, k, v, o, gate, up, down
    assert none[1:] == (0, 0)
    assert selective == (none[0], 0, layers)
    assert full[1:] == (layers, layers)
    assert none[0] + layers * (a_layer - 1) <= full[0] <= none[0] + layers * a_layer  # the last one of a block is not needed


def test_a_frozen_tower_keeps_nothing_anyhow_and_stays_as_it_is() -> None:
    replaced = {}
    for tower in (False, True):
        model, parts = model_of(Case("vicuna", tower))
        distribute(model, parts, compute("full"), ParallelSettings(), ALONE)
        replaced[tower] = [parts.part_of(name) for name in parts.blocks if "forward" in vars(model.get_submodule(name))]
    assert replaced[False] == ["language"] * 2
    assert sorted(replaced[True]) == ["language"] * 2 + ["vision"] * 2


def test_names_classes_and_states_stay() -> None:
    model, parts = model_of(Case("qwen"))
    before = ([(name, type(module)) for name, module in model.named_modules()], list(model.state_dict()))
    distribute(model, parts, compute("selective"), ParallelSettings(), ALONE)
    assert before == ([(name, type(module)) for name, module in model.named_modules()], list(model.state_dict()))


@pytest.mark.parametrize("how", WAYS)
def test_a_cache_is_not_written_twice(how: Recompute) -> None:
    norms = []
    for way in ("none", how):
        model, parts = model_of(Case("vicuna"))
        distribute(model, parts, compute(way), ParallelSettings(), ALONE)
        inputs = batches_of("vicuna")[0].inputs
        model(**inputs, use_cache=True).logits.square().mean().backward()
        norms.append([float(p.grad.norm()) for p in model.parameters() if p.grad is not None])
    assert norms[0] == norms[1]


def test_generation_is_as_before() -> None:
    made = []
    for how in ("none", "full"):
        model, parts = model_of(Case("vicuna"))
        distribute(model, parts, compute(how), ParallelSettings(), ALONE)
        words = torch.arange(20, 30)[None]
        made.append(model.generate(input_ids=words, max_new_tokens=6, do_sample=False).tolist())
    assert made[0] == made[1]


@pytest.mark.parametrize("how", WAYS)
def test_what_was_dropped_is_dropped_again(how: Recompute) -> None:
    torch.manual_seed(0)
    block = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 8), torch.nn.ReLU())
    values = torch.randn(4, 8)
    gradients = []
    for way in ("none", how):
        recompute(block, way)
        torch.manual_seed(1)
        block.zero_grad()
        block(values).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in block.parameters() if parameter.grad is not None])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
