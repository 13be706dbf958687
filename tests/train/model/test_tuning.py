"""Who learns: only what the rules say, in float32, at its own rate, and the model works as before."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from curate.errors import ConfigError
from tests.train.model.families import FAMILIES, family, trained
from train.config import TrainConfig
from train.model.parts import Parts, parts_of
from train.model.rules import original
from train.model.tuning import groups, merge_adapters, prepare

LORA = {"match": "language", "train": "lora"}
FAR = 0.6
"""Share of the first loss that twenty steps on one batch must get below."""


def config(*parts: dict[str, Any], **more: Any) -> TrainConfig:
    base = {"model": "m", "out": "o", "data": {"plan": "p"}, "compute": {"dtype": "float32"}}
    return TrainConfig.model_validate({**base, "parts": parts, **more})


def ready(name: str, *parts: dict[str, Any], **more: Any) -> tuple[Any, Parts]:
    model = family(name).model
    parts_ = parts_of(model)
    return prepare(model, parts_, config(*parts, **more)), parts_


def learning(model: nn.Module, parts: Parts) -> set[str]:
    return {parts.part_of(name) for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("rules", [(), (LORA,)], ids=["full", "lora"])
def test_every_family_learns_and_still_generates(name: str, rules: Any) -> None:
    one = family(name)
    parts = parts_of(one.model)
    frozen = {key: value.clone() for key, value in one.model.named_parameters() if parts.part_of(key) == "vision"}
    model = prepare(one.model, parts, config(*rules, lora={"rank": 8, "alpha": 32}))
    losses = trained(model, one.batch(), 20, lr=1e-2 if rules else 3e-3)
    assert losses[-1] < FAR * losses[0]
    assert all(torch.equal(value, model.get_parameter(key)) for key, value in frozen.items())
    question = one.question()
    answer = model.eval().generate(**question, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > question["input_ids"].shape[1]


@pytest.mark.parametrize("stage", ["align", "instruct", "icl"])
def test_a_stage_trains_what_llava_trains(stage: str) -> None:
    model, parts = ready("vicuna", stage=stage)
    aligned = {"projector"}
    assert learning(model, parts) == (aligned if stage == "align" else aligned | {"language", "embeddings", "head"})


def test_later_rules_win() -> None:
    rules = ({"match": "language", "train": "frozen"}, {"match": "*.layers.1", "train": "full"}, {"match": "vision"})
    model, parts = ready("vicuna", *rules)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning(model, parts) == {"vision", "projector", "language"}
    assert {name for name in names if "language_model" in name} == {
        name for name, _ in model.named_parameters() if "language_model.layers.1." in name
    }


def test_a_rule_on_embeddings_narrows_one_on_the_language_model() -> None:
    model, parts = ready("vicuna", {"match": "embeddings", "train": "frozen"}, {"match": "head", "train": "frozen"})
    assert learning(model, parts) == {"projector", "language"}


def test_adapters_are_on_the_matched_linear_layers_alone() -> None:
    rule = {"match": "*language_model.layers.0*", "train": "lora"}
    model, parts = ready("vicuna", {"match": "language", "train": "frozen"}, rule, lora={"targets": ["q_proj", "v_proj"]})
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad and "lora" in name]
    assert {original(name) for name in names} == {
        f"model.language_model.layers.0.self_attn.{layer}.weight" for layer in ("q_proj", "v_proj")
    }
    assert {name.rsplit("lora_", 1)[1] for name in names} == {"A.default.weight", "B.default.weight"}
    assert learning(model, parts) == {"projector", "language"}


def test_the_head_is_adapted_only_when_it_is_named() -> None:
    model, _ = ready("vicuna", LORA)
    assert isinstance(model.lm_head, nn.Linear)
    model, _ = ready("vicuna", LORA, {"match": "head", "train": "lora"})
    assert not isinstance(model.lm_head, nn.Linear)
    with pytest.raises(ConfigError, match="tied to the embeddings"):
        ready("onevision", {"match": "head", "train": "lora"})


def test_new_adapters_change_nothing_until_they_are_trained() -> None:
    one = family("vicuna")
    batch = one.batch()
    before = one.model(**batch).logits
    parts = parts_of(one.model)
    after = prepare(one.model, parts, config(LORA)).eval()(**batch).logits
    assert torch.equal(before, after)


def test_adapters_depend_on_the_seed_and_their_own_name_only() -> None:
    def first(seed: int, *rules: dict[str, Any]) -> torch.Tensor:
        torch.manual_seed(torch.randint(1000, ()).item())
        model, _ = ready("vicuna", *rules, seed=seed)
        return model.model.language_model.layers[1].mlp.up_proj.lora_A["default"].weight.detach()

    fewer = ({"match": "language", "train": "frozen"}, {"match": "*.layers.1", "train": "lora"})
    assert torch.equal(first(3, LORA), first(3, *fewer))
    assert not torch.equal(first(3, LORA), first(4, LORA))
    assert first(3, LORA).abs().max() <= 64**-0.5


def test_merged_adapters_compute_the_same_under_the_names_of_before() -> None:
    one = family("vicuna")
    names, parts = set(one.model.state_dict()), parts_of(one.model)
    batch = one.batch()
    model = prepare(one.model, parts, config(LORA))
    trained(model, batch, 3, lr=1e-2)
    apart = model.eval()(**batch).logits
    merged = merge_adapters(model)
    assert set(merged.state_dict()) == names
    assert torch.allclose(merged(**batch).logits, apart, atol=1e-4)


def test_trained_weights_are_float32_and_frozen_ones_as_computed() -> None:
    model, parts = ready("vicuna", LORA, compute={"dtype": "bfloat16"})
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16), name
    assert {parts.part_of(n) for n, p in model.named_parameters() if p.dtype == torch.float32} == {"projector", "language"}


def test_bfloat16_trains_under_autocast() -> None:
    one = family("vicuna")
    model = prepare(one.model, parts_of(one.model), config(LORA, compute={"dtype": "bfloat16"}))
    losses = trained(model, one.batch(), 20, lr=1e-2, autocast=True)
    assert losses[-1] < FAR * losses[0]


def test_frozen_modules_stay_in_evaluation_mode() -> None:
    model, _ = ready("vicuna", LORA, lora={"dropout": 0.5})
    model.eval()
    model.train()
    assert not any(module.training for module in model.model.vision_tower.modules())
    layer = model.model.language_model.layers[0]
    assert layer.training
    assert layer.self_attn.q_proj.lora_dropout["default"].training
    assert not layer.self_attn.q_proj.base_layer.training
    assert not copy.deepcopy(model).train().model.vision_tower.training


def test_frozen_dropout_draws_nothing() -> None:
    one = family("vicuna")
    for module in one.model.model.vision_tower.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.5
    model = prepare(one.model, parts_of(one.model), config(stage="align"))
    batch = one.batch()
    assert torch.equal(model(**batch).logits, model(**batch).logits)


def test_groups_follow_parts_rates_and_decay() -> None:
    optimizer = {"lr": 1e-4, "weight_decay": 0.1}
    rules = ({"match": "projector", "lr": 1e-3}, {"match": "head", "weight_decay": 0.0})
    model, parts = ready("vicuna", *rules, optimizer=optimizer)
    found = groups(model, parts, config(*rules, optimizer=optimizer))
    for group in found:
        assert {parts.part_of(name) for name in group["names"]} == {group["part"]}
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] > 0} or group["part"] == "head"
        assert group["lr"] == (1e-3 if group["part"] == "projector" else 1e-4)
    assert next(group for group in found if group["part"] == "head")["weight_decay"] == 0
    listed = [id(parameter) for group in found for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters() if parameter.requires_grad)


def test_tied_weights_are_in_one_group() -> None:
    model, parts = ready("onevision")
    names = [name for group in groups(model, parts, config()) for name in group["names"]]
    assert len(names) == len(set(names))
    assert [name for name in names if "embed_tokens" in name or "lm_head" in name] == [f"{parts.embeddings[0]}.weight"]


def test_a_tied_weight_answers_to_both_its_names() -> None:
    model, parts = ready("onevision", {"match": "head", "train": "frozen"})
    assert learning(model, parts) == {"projector", "language"}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([{"match": "langauge"}], "did you mean 'language'"),
        ([{"match": "*.layers.9.*"}], "matches no parameter"),
        ([{"match": "model.language_model.layers.0.self_atn"}], "did you mean 'model.language_model.layers.0.self_attn"),
        ([{"match": "embeddings", "train": "lora"}], "no linear layer"),
        ([{"match": "all", "train": "frozen"}], "everything is frozen"),
    ],
)
def test_rules_that_cannot_hold_say_so(rules: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ready("vicuna", *rules)


def test_a_target_that_no_layer_has_is_told() -> None:
    with pytest.raises(ConfigError, match=r"'qproj' \(did you mean 'q_proj'\?\)"):
        ready("vicuna", LORA, lora={"targets": ["qproj"]})


def test_preparing_works_on_the_meta_device() -> None:
    one = family("vicuna")
    with torch.device("meta"):
        model = type(one.model)(one.model.config)
    parts = parts_of(model)
    prepared = prepare(model, parts, config(LORA, compute={"dtype": "bfloat16"}))
    assert all(parameter.is_meta for parameter in prepared.parameters())
    real, _ = ready("vicuna", LORA, compute={"dtype": "bfloat16"})
    assert {n: (p.shape, p.dtype, p.requires_grad) for n, p in prepared.named_parameters()} == {
        n: (p.shape, p.dtype, p.requires_grad) for n, p in real.named_parameters()
    }


def test_preparing_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    model = family("vicuna").model
    parts = parts_of(model)
    state = torch.get_rng_state()
    prepare(model, parts, config(LORA))
    assert torch.equal(state, torch.get_rng_state())
