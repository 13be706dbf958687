"""Small models of real classes with random weights, fitting the processors of tiny_processors.py."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

TEXT: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "initializer_range": 0.1,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32,
    "patch_size": 8, "initializer_range": 0.1,
}  # fmt: skip


def tiny_model(name: str, processor: "ProcessorMixin", attention: str = "sdpa") -> "PreTrainedModel":
    """vicuna, chatml: Llava over Llama; qwen: Qwen2-VL; idefics: Idefics3; next, onevision: LLaVA-NeXT, LLaVA-OneVision;
    qwen25: Qwen2.5-VL; smolvlm: SmolVLM. Equal weights at every call, evaluation mode."""
    import torch

    torch.manual_seed(0)
    makers = {
        "vicuna": _llava, "chatml": _llava, "qwen": _qwen, "idefics": _idefics, "next": _next, "onevision": _onevision,
        "qwen25": _qwen25, "smolvlm": _smolvlm,
    }  # fmt: skip
    model = makers[name](processor).eval()
    model.set_attn_implementation(attention)
    return model


def _words(processor: Any) -> dict[str, Any]:
    tokenizer = processor.tokenizer
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    return {"vocab_size": len(tokenizer)} | ids


def _llava(processor: Any) -> "PreTrainedModel":
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION, projection_dim=32),
        text_config=LlamaConfig(**TEXT, **_words(processor)),
        image_token_index=processor.image_token_id,
        image_seq_length=16,
    )
    return LlavaForConditionalGeneration(config)


def _qwen(processor: Any) -> "PreTrainedModel":
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    heads = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    config = Qwen2VLConfig(
        text_config=TEXT | _words(processor) | {"rope_parameters": heads},
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 8},
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        initializer_range=0.1,
    )
    return Qwen2VLForConditionalGeneration(config)


def _idefics(processor: Any) -> "PreTrainedModel":
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig

    config = Idefics3Config(
        vision_config=VISION,
        text_config=LlamaConfig(**TEXT, **_words(processor)),
        image_token_id=processor.image_token_id,
        scale_factor=2,
        pad_token_id=processor.tokenizer.pad_token_id,
    )
    return Idefics3ForConditionalGeneration(config)


def _next(processor: Any) -> "PreTrainedModel":
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextConfig, LlavaNextForConditionalGeneration

    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**VISION, projection_dim=32),
        text_config=LlamaConfig(**TEXT, **_words(processor)),
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=processor.image_processor.image_grid_pinpoints,
        image_seq_length=16,
    )
    return LlavaNextForConditionalGeneration(config)


def _onevision(processor: Any) -> "PreTrainedModel":
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, Qwen2Config, SiglipVisionConfig

    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=Qwen2Config(**TEXT, **_words(processor), tie_word_embeddings=True),
        image_token_index=processor.image_token_id,
        image_grid_pinpoints=processor.image_processor.image_grid_pinpoints,
        tie_word_embeddings=True,
    )
    return LlavaOnevisionForConditionalGeneration(config)


def _qwen25(processor: Any) -> "PreTrainedModel":
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    heads = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    tower = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 8, "out_hidden_size": 64}
    config = Qwen2_5_VLConfig(
        text_config=TEXT | _words(processor) | {"rope_parameters": heads},
        vision_config=tower | {"window_size": 32, "fullatt_block_indexes": [1]},
        image_token_id=processor.image_token_id,
        video_token_id=processor.video_token_id,
        initializer_range=0.1,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def _smolvlm(processor: Any) -> "PreTrainedModel":
    from transformers import LlamaConfig, SmolVLMConfig, SmolVLMForConditionalGeneration

    config = SmolVLMConfig(
        vision_config=VISION,
        text_config=LlamaConfig(**TEXT, **_words(processor)),
        image_token_id=processor.image_token_id,
        scale_factor=2,
        pad_token_id=processor.tokenizer.pad_token_id,
    )
    return SmolVLMForConditionalGeneration(config)
