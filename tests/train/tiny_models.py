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
    """vicuna, chatml: Llava over Llama; qwen: Qwen2-VL; idefics: Idefics3. Equal weights at every call, evaluation mode."""
    import torch

    torch.manual_seed(0)
    make = {"vicuna": _llava, "chatml": _llava, "qwen": _qwen, "idefics": _idefics}[name]
    model = make(processor).eval()
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
