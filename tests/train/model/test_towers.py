"""Towers of timm as transformers models: the network's own features, as standardised tokens of a grid."""

from pathlib import Path

import pytest
import timm
import torch
from torch.nn.functional import adaptive_avg_pool2d, layer_norm
from transformers import AutoConfig, AutoModel, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from curate.errors import ConfigError
from tests.train.model.test_tuning import config
from train.config import ComputeSettings, ParallelSettings
from train.model.parts import parts_of
from train.model.pieces import checked_grid, fitted_tower
from train.model.towers import TimmTowerConfig, TimmTowerModel, register
from train.model.tuning import prepare

SIZE = 160


def pixels(count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def tower(name: str = "test_efficientnet", grid: int | None = None) -> TimmTowerModel:
    torch.manual_seed(0)
    return fitted_tower(name, SIZE, grid).eval()


def small_vlm(name: str = "test_efficientnet") -> LlavaForConditionalGeneration:
    """A tower of timm under a small Llama; 25 tokens a picture."""
    torch.manual_seed(0)
    text = LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, vocab_size=50
    )
    joined = LlavaConfig(
        vision_config=tower(name).config, text_config=text, vision_feature_layer=-1, vision_feature_select_strategy="full",
        image_token_index=9, image_seq_length=25,
    )  # fmt: skip
    return LlavaForConditionalGeneration(joined)


def small_batch(pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    ids = torch.tensor([[1] + [9] * 25 + [5, 6, 7]] * len(pictures))
    return {"input_ids": ids, "pixel_values": pictures, "labels": ids.where(ids != 9, -100)}


@pytest.mark.parametrize(("grid", "tokens"), [(None, 25), (5, 25), (4, 16), (2, 4), (1, 1)])
def test_a_grid_is_the_features_pooled_and_standardised(grid: int | None, tokens: int) -> None:
    model = tower(grid=grid)
    given = model(pixels()).hidden_states
    features = model.backbone.forward_features(pixels())
    expected = adaptive_avg_pool2d(features, int(tokens**0.5)).flatten(2).transpose(1, 2)
    assert len(given) == 1
    assert given[0].shape == (2, tokens, model.config.hidden_size)
    assert torch.allclose(given[0], layer_norm(expected, expected.shape[-1:]), atol=1e-5)
    assert given[0].mean(-1).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("test_resnet", 25), ("test_vit", 100), ("test_vit3", 100), ("test_convnext", 25), ("test_maxvit", 25)],
)
def test_networks_of_any_layout_give_a_grid(name: str, tokens: int) -> None:
    model = tower(name)
    assert model(pixels()).last_hidden_state.shape == (2, tokens, model.config.hidden_size)


def test_a_network_with_channels_last_gives_the_same_grid_as_its_features() -> None:
    model = fitted_tower("swin_tiny_patch4_window7_224", 224, None).eval()
    picture = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        features = model.backbone.forward_features(picture)  # [1, 7, 7, 768]
        tokens = model(picture).last_hidden_state
    assert torch.allclose(tokens[0, 7 * 2 + 3], layer_norm(features[0, 2, 3], (768,)), atol=1e-4)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext", "test_vit", "test_vit3"])
def test_a_saved_tower_comes_back_through_the_auto_classes(name: str, tmp_path: Path) -> None:
    model = tower(name, grid=4)
    model.save_pretrained(tmp_path)
    back = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(back, TimmTowerModel)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), TimmTowerConfig)
    assert torch.equal(back(pixels()).last_hidden_state, model(pixels()).last_hidden_state)


def test_buffers_that_no_file_holds_come_back(tmp_path: Path) -> None:
    name = "vit_base_patch16_rope_224"  # its rotary table is such a buffer
    one = TimmTowerModel(TimmTowerConfig(architecture=name, hidden_size=768, grid=14, model_args={"depth": 1})).eval()
    one.save_pretrained(tmp_path)
    torch.use_deterministic_algorithms(True)  # memory that nobody fills is NaN then, and not by chance what it was
    try:
        back = AutoModel.from_pretrained(tmp_path).eval()
    finally:
        torch.use_deterministic_algorithms(False)
    picture = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(back(picture).last_hidden_state, one(picture).last_hidden_state)


def test_registering_again_is_no_harm() -> None:
    register()
    register()


def test_attention_can_be_chosen_for_a_model_with_such_a_tower() -> None:
    model = small_vlm()
    for attention in ("sdpa", "eager", "flex_attention"):
        model.set_attn_implementation({"text_config": attention})
        assert model.config.text_config._attn_implementation == attention


@pytest.mark.parametrize("rules", [(), ({"match": "vision"},)], ids=["frozen", "trained"])
def test_a_picture_counts_the_same_whatever_is_beside_it(rules: tuple[dict[str, str], ...]) -> None:
    """In training mode too: batch norms keep their statistics, also those whose weights are trained."""
    model = small_vlm()
    model = prepare(model, parts_of(model), config(*rules))
    assert model.training
    alone, beside = model(**small_batch(pixels(1))).logits, model(**small_batch(pixels(3))).logits
    assert torch.allclose(alone[0], beside[0], atol=1e-5)


def test_statistics_of_batch_norms_never_move() -> None:
    model = small_vlm()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model = prepare(model, parts_of(model), config({"match": "vision"}))
    model(**small_batch(pixels())).loss.backward()
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())
    assert model.model.vision_tower.backbone.conv_stem.weight.grad is not None


@pytest.mark.parametrize("rules", [(), ({"match": "vision"},)], ids=["frozen", "trained"])
def test_batch_norms_bear_weights_of_half_the_bits(rules: tuple[dict[str, str], ...]) -> None:
    """Sharding casts weights to bfloat16 for the computation, and leaves the statistics in float32."""
    from train.parallel.ranks import started
    from train.parallel.sharding import distribute

    model = small_vlm()
    parts = parts_of(model)
    batch, compute = small_batch(pixels()), ComputeSettings(dtype="bfloat16", device="cpu", threads=1)
    exact = model.eval()(**batch).loss
    model = prepare(model, parts, config(*rules, compute={"dtype": "bfloat16"}))
    parallel = ParallelSettings(shard="always")
    with started(parallel, compute) as ranks:
        distribute(model, parts, compute, parallel, ranks)
        loss = model(**batch).loss
        loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert all(norm.running_mean.dtype == torch.float32 for norm in norms)


def test_half_the_bits_are_close_without_sharding() -> None:
    model = small_vlm()
    batch = small_batch(pixels())
    exact = model.eval()(**batch).loss
    model = prepare(model, parts_of(model), config(compute={"dtype": "bfloat16"}))
    assert model.model.vision_tower.backbone.conv_stem.weight.dtype == torch.bfloat16
    assert model.model.vision_tower.backbone.bn1.weight.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert model(**batch).loss.item() == pytest.approx(exact.item(), rel=0.02)


def test_a_grid_that_llavas_processor_would_count_otherwise_is_refused() -> None:
    assert [checked_grid(side, 224, 14) for side in (1, 2, 4, 7, 14)] == [1, 2, 4, 7, 14]
    with pytest.raises(ConfigError, match="14, 16"):
        checked_grid(15, 160, 16)


def test_a_grid_finer_than_the_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="use a side of 1, 2, 3, 4, 5"):
        tower(grid=8)


def test_the_wheels_network_is_loaded_as_it_is() -> None:
    from pipelines.wheels import Wheels
    from train.model.pieces import load_tower

    state = Wheels().tower()
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(state)
    loaded = load_tower("embedded", 7, False, Wheels())
    picture = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        features = whole.forward_features(picture).flatten(2).transpose(1, 2)
        tokens = loaded.model(picture).last_hidden_state
    assert torch.allclose(tokens, layer_norm(features, (1280,)), atol=1e-5)
    assert (loaded.tokens, loaded.mean, loaded.std) == (49, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
