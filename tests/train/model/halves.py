"""Small towers and language models as folders, such as a user would name to `curate assemble`."""

import json
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from tests.train.tiny_models import TEXT, VISION
from tests.train.tiny_processors import tiny_tokenizer

CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def clip_folder(folder: Path) -> Path:
    """A whole CLIP of which the tower is wanted: 32 px, 16 patches, two layers."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig

    torch.manual_seed(1)
    text = CLIPTextConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, vocab_size=50)
    CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=dict(VISION), projection_dim=16)).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def siglip_folder(folder: Path) -> Path:
    """A SigLIP tower: no class token, and a pooling head that nobody needs."""
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(2)
    SiglipVisionModel(SiglipVisionConfig(**VISION)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def timm_folder(folder: Path, name: str = "test_efficientnet") -> Path:
    """A network of timm as its hub would lay it down: 160 px, 25 features."""
    torch.manual_seed(3)
    model = timm.create_model(name)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"input_size": [3, 160, 160], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "num_classes": 1000}
    known = {"architecture": name, "num_classes": 1000, "pretrained_cfg": facts}
    (folder / "config.json").write_text(json.dumps(known))
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


def llama_folder(folder: Path, tied: bool = False, chat: bool = True, spare: int = 0) -> Path:
    """A causal language model whose tokenizer knows no pictures; `spare` rows of embeddings without a token."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(4)
    tokenizer = tiny_tokenizer(["<|im_start|>", "<|im_end|>"])
    tokenizer.chat_template = CHAT if chat else None
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    config = LlamaConfig(**TEXT, **ids, vocab_size=len(tokenizer) + spare, tie_word_embeddings=tied)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bert_folder(folder: Path) -> Path:
    """A language model that looks both ways."""
    from transformers import BertConfig, BertForMaskedLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
    BertForMaskedLM(BertConfig(**sizes)).save_pretrained(folder)
    return folder
