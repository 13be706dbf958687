"""Sharded over ranks, a model learns what it learns on one; also where one rank has pictures and the other none."""

import functools
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.tensor import DTensor

from curate.errors import ConfigError
from tests.train.data.test_blank import episode
from tests.train.parallel.two_ranks import run_ranks
from tests.train.plain_renderer import PlainRenderer
from tests.train.tiny_models import tiny_model
from tests.train.tiny_processors import tiny_processor
from train.config import ComputeSettings, ParallelSettings
from train.data.collate import Collate, CollateSettings
from train.data.records import Batch
from train.loss import Targets, token_losses
from train.model.parts import Parts, parts_of
from train.parallel.ranks import Ranks, started
from train.parallel.sharding import autocast, clip, distribute

FAMILIES = ("vicuna", "qwen", "idefics")
FP32 = ComputeSettings(device="cpu", dtype="float32", threads=1)
BF16 = ComputeSettings(device="cpu", dtype="bfloat16", threads=1)
SHARDED, REPLICATED = ParallelSettings(timeout=30), ParallelSettings(timeout=30, frozen="replicated")
ALONE = Ranks.alone()


@dataclass(frozen=True)
class Case:
    """One way to lay a model on ranks."""

    family: str
    tower: bool = False  # whether it is trained
    parallel: ParallelSettings = SHARDED
    compute: ComputeSettings = FP32
    tied: bool = False
    lora: bool = False

    def __str__(self) -> str:
        words = [self.family, "tower" if self.tower else self.parallel.frozen, self.compute.dtype, self.compute.recompute]
        return "-".join([*words, *(["tied"] if self.tied else []), *(["lora"] if self.lora else [])])


@dataclass
class Learned:
    """What came of a step."""

    norm: float
    losses: list[float]
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)


processor_of = functools.cache(tiny_processor)


def model_of(case: Case) -> tuple[nn.Module, Parts]:
    processor = processor_of(case.family)
    model: Any = tiny_model(case.family, processor)
    parts = parts_of(model)
    if case.tied:
        model.lm_head.weight = model.get_input_embeddings().weight
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not case.lora and (case.tower or parts.part_of(name) != "vision"))
    if case.lora:
        from peft import LoraConfig, inject_adapter_in_model

        torch.manual_seed(0)
        inject_adapter_in_model(LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False), model)
    for parameter in model.parameters():
        kept = torch.float32 if parameter.requires_grad else getattr(torch, case.compute.dtype)
        parameter.data = parameter.data.to(kept)
    return model, parts


@functools.cache
def batches_of(family: str) -> list[Batch]:
    """The first has pictures, the second has none but the blank one."""
    collate = Collate(PlainRenderer(processor_of(family)), CollateSettings(blank=True))
    return [collate([(episode(1, 1, 1), episode(2, 0, 1))]), collate([(episode(3, 2),)])]


def step(case: Case, model: nn.Module, ranks: Ranks, places: list[int]) -> list[float]:
    """Adds up the gradients of some of the batches; their losses."""
    losses = []
    for place in places:
        batch = batches_of(case.family)[place]
        loss = token_losses(model, batch, Targets.of(batch), cast=autocast(case.compute, ranks)).sum() / 100
        loss.backward()
        losses.append(loss.item())
    return losses


def learned(case: Case, ranks: Ranks, places: list[int]) -> Learned:
    """Gradients whole, clipped to 1, of a model laid on the ranks."""
    model, parts = model_of(case)
    distribute(model, parts, case.compute, case.parallel, ranks)
    losses = step(case, model, ranks, places)
    norm = float(clip(model.parameters(), 1.0))
    made = {name: own.grad for name, own in model.named_parameters() if own.grad is not None}
    assert ranks.mesh is None or all(isinstance(own, DTensor) for own in made.values())
    whole = {name: own.full_tensor() if isinstance(own, DTensor) else own for name, own in made.items()}
    return Learned(norm, losses, whole)


def of_ranks(cases: list[Case], replicas: int = 1, shard: Any = "auto") -> list[Learned]:
    """Every rank takes the batch of its number."""
    with started(ParallelSettings(timeout=30, replicas=replicas, shard=shard), FP32) as ranks:
        return [learned(case, ranks, [ranks.rank % 2]) for case in cases]


def assert_same(made: Learned, expected: Learned, tolerance: float = 1e-5) -> None:
    assert made.gradients.keys() == expected.gradients.keys()
    assert made.norm == pytest.approx(expected.norm, rel=tolerance)
    for name, gradient in expected.gradients.items():
        assert made.gradients[name].dtype == torch.float32
        assert float((made.gradients[name] - gradient).norm()) <= tolerance * float(gradient.norm()) + 1e-9, name


CASES = [
    *(Case(family, tower, parallel)
      for family in FAMILIES for tower, parallel in ((False, SHARDED), (False, REPLICATED), (True, SHARDED))),
    *(Case(family, tied=True) for family in ("vicuna", "qwen")),
    *(Case("vicuna", True, compute=FP32.model_copy(update={"recompute": how})) for how in ("full", "selective")),
    Case("vicuna", lora=True),
]  # fmt: skip


ROUNDED = [
    Case("vicuna", compute=BF16, lora=True),
    Case("qwen", compute=BF16, parallel=REPLICATED, lora=True),
    Case("idefics", compute=BF16),
]  # bfloat16 where frozen, float32 where trained, in one block


def test_two_ranks_learn_what_one_learns_from_both_batches() -> None:
    both = run_ranks(of_ranks, 2, CASES + ROUNDED, timeout=200)
    for number, case in enumerate(CASES):
        expected = learned(case, ALONE, [0, 1])
        assert [both[0][number].losses[0], both[1][number].losses[0]] == pytest.approx(expected.losses, rel=1e-5), case
        for made in (both[0][number], both[1][number]):
            assert_same(made, expected)
    with started(ParallelSettings(shard="always"), FP32) as ranks:  # the same arithmetic on one rank
        for made, case in zip(both[0][len(CASES) :], ROUNDED, strict=True):
            assert_same(made, learned(case, ranks, [0, 1]), tolerance=1e-4)


def test_replicas_of_shards_learn_the_sum_over_all_ranks() -> None:
    case = Case("vicuna", True)
    expected = learned(case, ALONE, [0, 1, 0, 1])
    for (made,) in run_ranks(of_ranks, 4, [case], 2, timeout=200):
        assert_same(made, expected)


def test_bfloat16_is_near_float32_sharded_and_not() -> None:
    for family in FAMILIES:
        expected = learned(Case(family), ALONE, [0, 1])
        with started(ParallelSettings(shard="always"), FP32) as ranks:
            sharded = learned(Case(family, compute=BF16), ranks, [0, 1])
        for made in (sharded, learned(Case(family, compute=BF16), ALONE, [0, 1])):
            assert made.losses == pytest.approx(expected.losses, rel=0.01)
            assert made.norm == pytest.approx(expected.norm, rel=0.05)


@pytest.mark.parametrize(
    ("tower", "frozen", "cut"), [(False, "sharded", True), (False, "replicated", False), (True, "replicated", True)]
)
def test_frozen_towers_are_cut_or_whole_as_asked_and_all_that_learns_is_cut(tower: bool, frozen: Any, cut: bool) -> None:
    model, parts = model_of(Case("qwen", tower, compute=BF16))
    with started(ParallelSettings(shard="always"), BF16) as ranks:
        distribute(model, parts, BF16, ParallelSettings(frozen=frozen), ranks)
        found = {(parts.part_of(name), isinstance(own, DTensor)) for name, own in model.named_parameters()}
    assert found == {("vision", cut), *((part, True) for part in ("projector", "language", "embeddings", "head"))}


# Steps


def curve(ranks: Ranks, places: list[int]) -> list[float]:
    """Losses of a few steps of AdamW with a look at the losses in between."""
    case = Case("vicuna", True)
    model, parts = model_of(case)
    distribute(model, parts, case.compute, case.parallel, ranks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses: list[float] = []
    for _ in range(3):
        own = sum(step(case, model, ranks, places))
        losses.append(float(ranks.sum(torch.tensor(own, dtype=torch.float64))))
        clip(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            batch = batches_of("vicuna")[0]
            losses.append(float(token_losses(model, batch, Targets.of(batch)).sum()))
    return losses


def curve_of_ranks() -> list[float]:
    with started(SHARDED, FP32) as ranks:
        return curve(ranks, [ranks.rank])


def test_steps_and_looks_in_between_go_alike() -> None:
    expected = curve(ALONE, [0, 1])
    for losses in run_ranks(curve_of_ranks, 2):
        assert losses == pytest.approx(expected, rel=1e-5)
    assert expected[-1] < expected[1]


def raising_amid() -> None:
    with started(ParallelSettings(timeout=20), FP32) as ranks:
        model, parts = model_of(Case("vicuna"))
        distribute(model, parts, FP32, SHARDED, ranks)
        if ranks.rank == 1:
            raise ValueError("a fault of this rank alone")
        step(Case("vicuna"), model, ranks, [0])


def test_a_rank_that_raises_ends_those_that_wait_for_its_shards() -> None:
    other, one = run_ranks(raising_amid, 2, failing=True, timeout=60)
    assert (other.kind, one.kind) == ("RankError", "ValueError")


# Compiling


@pytest.mark.parametrize("how", ["none", "selective"])
@pytest.mark.parametrize("shard", ["auto", "always"])
def test_equal_blocks_are_compiled_once(shard: Any, how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.testing import CompileCounterWithBackend

    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager" if how == "none" else "aot_eager")
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=counter, dynamic=False))
    case = Case("vicuna", compute=FP32.model_copy(update={"compile": True, "recompute": how}))
    with started(ParallelSettings(shard=shard), FP32) as ranks:
        made = learned(case, ranks, [0, 0, 0])
    assert counter.frame_count == 2  # a kind of block in the tower, one in the language model
    assert_same(made, learned(Case("vicuna"), ALONE, [0, 0, 0]))


# What cannot be


def test_a_trained_single_number_is_refused() -> None:
    model, parts = model_of(Case("vicuna"))
    model.get_submodule("model.multi_modal_projector").scale = nn.Parameter(torch.tensor(1.0))
    with (
        started(ParallelSettings(shard="always"), FP32) as ranks,
        pytest.raises(ConfigError, match=r"multi_modal_projector\.scale is a single number"),
    ):
        distribute(model, parts, FP32, SHARDED, ranks)


def test_a_frozen_single_number_stays_whole() -> None:
    model, parts = model_of(Case("vicuna"))
    model.get_submodule("model.multi_modal_projector").scale = nn.Parameter(torch.tensor(1.0), requires_grad=False)
    with started(ParallelSettings(shard="always"), FP32) as ranks:
        distribute(model, parts, FP32, SHARDED, ranks)
        step(Case("vicuna"), model, ranks, [0])


# Clipping


def parameters(*gradients: torch.Tensor) -> list[nn.Parameter]:
    made = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(made, gradients, strict=True):
        parameter.grad = gradient.clone()
    return made


@pytest.mark.parametrize("largest", [None, 0.5, 100.0])
def test_clipping_is_torchs_where_all_is_plain(largest: float | None) -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(5, 3), torch.randn(7), torch.randn(2, 2, 2)]
    own, theirs = parameters(*gradients), parameters(*gradients)
    norm = clip(own, largest)
    expected = nn.utils.clip_grad_norm_(theirs, largest or float("inf"))
    torch.testing.assert_close(norm, expected)
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=0)


@pytest.mark.parametrize("largest", [None, 0.5, 100.0])
def test_clipping_asks_for_no_number(largest: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would wait for the GPU."""

    def refuse(tensor: torch.Tensor) -> Any:
        raise AssertionError("the GPU is waited for")

    own = parameters(torch.randn(5, 3), torch.randn(7).bfloat16(), torch.zeros(2))
    for word in ("item", "__bool__", "__float__", "tolist", "cpu"):
        monkeypatch.setattr(torch.Tensor, word, refuse)
    clip(own, largest)


def test_small_gradients_keep_their_bits_and_none_at_all_are_none() -> None:
    for gradient in (torch.randn(100) / 100, torch.zeros(3)):
        own = parameters(gradient)
        clip(own, 10.0)
        assert own[0].grad is not None
        assert torch.equal(own[0].grad, gradient)


def test_a_norm_that_is_no_number_scales_nothing() -> None:
    for bad in (float("nan"), float("inf")):
        own = parameters(torch.tensor([1.0, bad]), torch.ones(2))
        assert not torch.isfinite(clip(own, 0.1))
        assert own[1].grad is not None
        assert own[1].grad.tolist() == [1, 1]
    assert float(clip([nn.Parameter(torch.ones(2))], 1.0)) == 0


def mixed(replicas: int) -> tuple[float, list[list[float]]]:
    """A gradient of uneven shards beside a plain one that every rank has alike."""
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    with started(ParallelSettings(replicas=replicas), FP32) as ranks:
        assert ranks.mesh is not None
        placements = [Replicate(), Shard(0)] if replicas > 1 else [Shard(0)]
        cut = nn.Parameter(distribute_tensor(torch.zeros(5, 2), ranks.mesh, placements))
        cut.grad = distribute_tensor(torch.arange(10.0).view(5, 2), ranks.mesh, placements)
        (plain,) = parameters(torch.tensor([3.0, 4.0]))
        assert plain.grad is not None
        norm = float(clip([cut, plain], 1.0))
        return norm, [cut.grad.full_tensor().flatten().tolist(), plain.grad.tolist()]


def test_clipping_sees_shards_once_and_replicas_once() -> None:
    whole = torch.cat([torch.arange(10.0), torch.tensor([3.0, 4.0])])
    for world, replicas in ((2, 1), (4, 2)):
        for norm, (cut, plain) in run_ranks(mixed, world, replicas):
            assert norm == pytest.approx(float(whole.norm()))
            assert cut + plain == pytest.approx((whole / whole.norm()).tolist())
