"""Model flops are what torch counts on the real model, less what is no model flop."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.train.model.families import family
from tests.train.model.test_towers import pixels, small_batch, small_vlm
from tests.train.tiny_models import tiny_model
from train.data.records import Batch
from train.metrics.flops import Flops, causal_pairs, counter
from train.model.parts import Parts, parts_of

FAMILIES = ("vicuna", "qwen", "idefics")


def batch_of(processor: Any, pictures: int, text: int) -> Batch:
    """One row, one episode: pictures, then text; everything supervised."""
    drawn = [torch.randint(1, 255, (3, 40 + 20 * at, 70), dtype=torch.uint8) for at in range(pictures)]
    images = processor.image_processor(images=drawn, return_tensors="pt", input_data_format="channels_first")
    words = processor(images=drawn, text=processor.image_token * pictures, return_tensors="pt")["input_ids"]
    ids = torch.cat([words, torch.full((1, text), 5)], 1)
    inputs = {"input_ids": ids, **{n: t for n, t in images.items() if n in processor.model_input_names}}
    if "mm_token_type_ids" in processor.model_input_names:
        inputs["mm_token_type_ids"] = (ids == processor.image_token_id).long()
        inputs["position_ids"] = torch.arange(ids.shape[1]).expand(3, 1, -1)
    ones = torch.ones_like(ids)
    return Batch(inputs, ids, ones.float(), ones.short(), ones.int())


def counted(model: Any, batch: Batch) -> int:
    with counter() as found:
        loss = model(**batch.inputs, use_cache=False).logits.sum()
        if loss.requires_grad:
            loss.backward()
    return int(found.get_total_flops())


def ours(model: Any, parts: Parts, batch: Batch) -> float:
    """With the whole square of attention, as torch counts it."""
    flops = Flops.of(model, parts)
    rows, length = batch.segments.shape
    halves = length * (length + 1) / 2
    return float(flops(batch)) + rows * (length**2 - halves) * flops.language.pair


@pytest.mark.parametrize("trained", ["all", "projector", "language", "upper", "none"])
@pytest.mark.parametrize("name", FAMILIES)
def test_flops_are_those_that_torch_counts(name: str, trained: str, processors: Any) -> None:
    model = tiny_model(name, processors[name], attention="eager")
    parts = parts_of(model)
    for parameter, value in model.named_parameters():
        part = parts.part_of(parameter)
        upper = "layers.1." in parameter and part == "language"
        value.requires_grad = trained == "all" or part == trained or (trained == "upper" and upper)
    batch = batch_of(processors[name], pictures=2, text=48)
    assert ours(model, parts, batch) == pytest.approx(counted(model, batch), rel=0.02)


@pytest.mark.parametrize("trained", ["all", "projector"])
@pytest.mark.parametrize("name", ["next", "onevision", "qwen25", "smolvlm"])
def test_flops_of_towers_with_tiles_and_windows_are_those_that_torch_counts(name: str, trained: str) -> None:
    made = family(name)
    made.model.set_attn_implementation("eager")
    parts, inputs = parts_of(made.model), made.batch()
    for parameter, value in made.model.named_parameters():
        value.requires_grad = trained in ("all", parts.part_of(parameter))
    ids = inputs["input_ids"]
    ones = torch.ones_like(ids)  # padding counts as torch counts it
    known = {name: tensor for name, tensor in inputs.items() if name not in ("labels", "attention_mask")}
    batch = Batch(known, ids, ones.float(), ones.short(), ones.int())
    assert ours(made.model, parts, batch) == pytest.approx(counted(made.model, batch), rel=0.02)


@pytest.mark.parametrize("tower", ["test_efficientnet", "test_convnext"])
@pytest.mark.parametrize("frozen", [True, False])
def test_flops_of_a_tower_of_timm_are_those_that_torch_counts(tower: str, frozen: bool) -> None:
    model = small_vlm(tower)
    model.set_attn_implementation({"text_config": "eager"})
    parts = parts_of(model)
    for parameter, value in model.named_parameters():
        value.requires_grad = not frozen or parts.part_of(parameter) != "vision"
    inputs = small_batch(pixels())
    ids = inputs.pop("labels").abs()
    ones = torch.ones_like(ids)
    batch = Batch(inputs, ids, ones.float(), ones.short(), ones.int())
    assert ours(model, parts, batch) == pytest.approx(counted(model, batch), rel=0.02)


def test_adapters_count_and_the_weights_under_them_have_no_gradient(processors: Any) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model = tiny_model("vicuna", processors["vicuna"], attention="eager")
    parts = parts_of(model)
    model.requires_grad_(False)
    names = "q_proj|v_proj|up_proj|down_proj"
    inject_adapter_in_model(LoraConfig(r=8, target_modules=f".*language_model.*({names})"), model)
    model.model.multi_modal_projector.requires_grad_(True)
    batch = batch_of(processors["vicuna"], pictures=1, text=40)
    assert ours(model, parts, batch) == pytest.approx(counted(model, batch), rel=0.02)


def test_towers_are_counted_also_where_patches_come_cut_or_padded(processors: Any) -> None:
    for name in FAMILIES:
        model, processor = tiny_model(name, processors[name], attention="eager"), processors[name]
        model.requires_grad_(False)
        flops = Flops.of(model, parts_of(model))
        one, three = (batch_of(processor, n, 10) for n in (1, 3))
        assert 0 < float(flops.tower(one.inputs)) < float(flops.tower(three.inputs))
        assert float(flops.tower({"input_ids": one.inputs["input_ids"]})) == 0
    padded = torch.cat([one.inputs["pixel_values"], torch.zeros_like(one.inputs["pixel_values"])], 1)
    assert flops.tower({**one.inputs, "pixel_values": padded}) == flops.tower(one.inputs)


def test_gradients_of_a_convolution_in_groups_cost_what_its_forward_costs() -> None:
    layer, pixels = torch.nn.Conv2d(8, 8, 3, groups=8, padding=1), torch.ones(1, 8, 10, 10, requires_grad=True)
    forward = 2 * 800 * 9
    with counter() as found:
        layer(pixels).sum().backward()
    assert found.get_total_flops() == 3 * forward
    with counter() as found:
        layer(pixels.detach()).sum().backward()
    assert found.get_total_flops() == 2 * forward


def test_padding_costs_nothing_and_neighbours_in_a_row_do_not_see_each_other() -> None:
    segments = torch.tensor([[1, 1, 1, 2, 2, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]], dtype=torch.int32)
    real, pairs = causal_pairs(segments)
    assert (float(real), float(pairs)) == (13, 6 + 3 + 36)


def test_the_head_counts_at_supervised_positions_only(processors: Any) -> None:
    model = tiny_model("vicuna", processors["vicuna"])
    batch, flops = batch_of(processors["vicuna"], 1, 40), Flops.of(model, parts_of(model))
    fewer = replace(batch, weights=batch.weights * (torch.arange(batch.weights.shape[1]) % 2))
    missing = float(batch.weights.sum() - fewer.weights.sum())
    assert float(flops(batch) - flops(fewer)) == pytest.approx(missing * 6 * model.lm_head.weight.numel())
