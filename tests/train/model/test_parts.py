"""What is tower, projector and language model, found in every family by what its class says of itself."""

import pytest
import torch
from torch import nn

from curate.errors import ConfigError
from tests.train.model.families import FAMILIES, family
from train.model.parts import NAMES, parts_of, sizes

BRIDGES = {
    "vicuna": ("model.multi_modal_projector",),
    "next": ("model.image_newline", "model.multi_modal_projector"),
    "onevision": ("model.image_newline", "model.multi_modal_projector"),
    "qwen": ("model.visual.merger",),
    "qwen25": ("model.visual.merger",),
    "idefics": ("model.connector",),
    "smolvlm": ("model.connector",),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_its_parts(name: str) -> None:
    model = family(name).model
    parts = parts_of(model)
    assert parts.projector == BRIDGES[name]
    assert parts.head == ("lm_head",)
    assert len(parts.vision) == len(parts.language) == len(parts.embeddings) == 1
    assert parts.embeddings[0].startswith(parts.language[0])
    assert len(parts.blocks) == 4  # two layers of each tower
    assert len({type(model.get_submodule(block)) for block in parts.blocks}) == 2


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_belongs_to_one_part(name: str) -> None:
    model = family(name).model
    counted = sizes(model)
    assert tuple(counted) == NAMES
    assert sum(counted.values()) == sum(parameter.numel() for parameter in model.parameters())
    assert all(counted[part] for part in ("vision", "projector", "language", "embeddings"))


def test_a_projector_inside_the_tower_is_the_projector() -> None:
    parts = parts_of(family("qwen").model)
    assert parts.part_of("model.visual.merger.mlp.0.weight") == "projector"
    assert parts.part_of("model.visual.blocks.0.attn.qkv.weight") == "vision"
    assert parts.part_of("model.language_model.embed_tokens.weight") == "embeddings"
    assert not any(block.startswith("model.visual.merger") for block in parts.blocks)


def test_names_of_adapters_and_wrappers_lead_to_the_same_part() -> None:
    parts = parts_of(family("vicuna").model)
    for inserted in ("base_layer.weight", "lora_A.default.weight"):
        assert parts.part_of(f"model.language_model.layers.0.self_attn.q_proj.{inserted}") == "language"
    assert parts.part_of("model.language_model.layers.0._checkpoint_wrapped_module.mlp.up_proj.weight") == "language"


def test_tied_weights_count_once_as_embeddings() -> None:
    counted = sizes(family("onevision").model)
    assert counted["head"] == 0
    assert counted["embeddings"] > 0


def test_a_second_tower_is_no_projector() -> None:
    from transformers import VideoLlavaConfig, VideoLlavaForConditionalGeneration

    with torch.device("meta"):
        parts = parts_of(VideoLlavaForConditionalGeneration(VideoLlavaConfig()))
    assert parts.vision == ("model.image_tower", "model.video_tower")
    assert parts.projector == ("model.multi_modal_projector",)


def test_a_convolutional_tower_is_wrapped_by_stages() -> None:
    from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    from train.model.towers import TimmTowerConfig

    tower = TimmTowerConfig(architecture="resnet18", hidden_size=512)
    with torch.device("meta"):
        config = LlavaConfig(vision_config=tower, text_config=LlamaConfig(num_hidden_layers=1), vision_feature_layer=-1)
        model = LlavaForConditionalGeneration(config)
    blocks = [name for name in parts_of(model).blocks if "vision" in name]
    assert len(blocks) == 8  # four stages of two
    assert {type(model.get_submodule(name)).__name__ for name in blocks} == {"BasicBlock"}


def test_a_model_without_a_tower_is_refused_by_name() -> None:
    from transformers import FuyuConfig, FuyuForCausalLM

    with torch.device("meta"):
        model = FuyuForCausalLM(FuyuConfig())
    with pytest.raises(ConfigError, match="FuyuForCausalLM does not say"):
        parts_of(model)


def test_a_model_without_a_projector_is_refused() -> None:
    model = family("vicuna").model
    model.model.multi_modal_projector = nn.Identity()
    with pytest.raises(ConfigError, match="nothing between"):
        parts_of(model)
