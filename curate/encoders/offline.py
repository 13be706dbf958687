"""The embedded offline encoder: a small CLIP-interface encoder that needs no model hub.

An ordinary open_clip `CustomTextCLIP`: EfficientNet-Lite0 as timm tower, MiniLM as text tower, and a
head trained by `curate.encoders.training`. It is no CLIP: it has seen some 12,000 drawings and the class
names of ImageNet, not hundreds of millions of captioned photos. Scores: docs/benchmarks/offline-encoder.md.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.encoders.wheels import TIMM_NAME, image_tower_state, text_tower_folder, text_tower_state

if TYPE_CHECKING:
    from torch import Tensor, nn

HEAD_FILE = Path(__file__).parent / "offline_head.safetensors"
EMBED_DIM = 1024
HIDDEN = 2 * EMBED_DIM  # fixed by open_clip's timm adapter
CLASSES, NAME_DIM = 1000, 384
UNITS = HIDDEN - CLASSES  # trained hidden units; the others are ImageNet's classes
WIDTH = EMBED_DIM - NAME_DIM  # trained dimensions; the others are those of the classes' names
GAIN, THRESHOLD = 2.0, 5.0  # a class unit is GELU(GAIN (logit - THRESHOLD))
CONTEXT = 64  # tokens; MiniLM was trained on 128 and takes 512

PREPROCESS: dict[str, Any] = {
    "size": 224,
    "mode": "RGB",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bicubic",
    "resize_mode": "longest",  # nothing is cropped away; the rest is white paper
    "fill_color": 255,
}


def model_config() -> dict[str, Any]:
    """Arguments of open_clip's CustomTextCLIP. The text tower is named by its folder on this machine."""
    vision = {
        "timm_model_name": TIMM_NAME,
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "mlp",
        "timm_proj_bias": True,
        "image_size": PREPROCESS["size"],
    }
    text = {
        "hf_model_name": str(text_tower_folder()),
        "hf_tokenizer_name": str(text_tower_folder()),
        "hf_model_pretrained": False,
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "linear",
        "context_length": CONTEXT,
    }
    return {"embed_dim": EMBED_DIM, "vision_cfg": vision, "text_cfg": text}


def bare_model() -> "nn.Module":
    """The open_clip model with the wheels' towers and an untrained head, on the CPU, in float32."""
    import torch
    from open_clip.model import CustomTextCLIP

    model = CustomTextCLIP(**model_config())
    tower = {key: value for key, value in image_tower_state().items() if not key.startswith("classifier.")}
    model.visual.trunk.load_state_dict(tower, strict=True)
    model.text.transformer.load_state_dict(text_tower_state(), strict=True)
    return model.eval().to(memory_format=torch.channels_last)


def offline_model(file: Path = HEAD_FILE) -> "nn.Module":
    """The complete model, in evaluation mode on the CPU."""
    from safetensors.torch import load_file

    classifier = image_tower_state()
    trained = {key: value.float() for key, value in load_file(file).items()}
    model = bare_model()
    head = assembled(trained, classifier["classifier.weight"], classifier["classifier.bias"])
    fitted = model.load_state_dict(head, strict=False)
    assert not fitted.unexpected_keys, f"{file.name} holds tensors that the model lacks"
    assert all(".trunk." in key or ".transformer." in key for key in fitted.missing_keys), f"{file.name} is incomplete"
    return model


def assembled(trained: "dict[str, Tensor]", class_weight: "Tensor", class_bias: "Tensor") -> "dict[str, Tensor]":
    """The head as open_clip's tensors: trained units and class units side by side, each with outputs of its own.

    `trained` is the head file; the class units are the wheel's classifier [1000, 1280], which the file need
    not repeat.
    """
    import torch

    second = torch.zeros(EMBED_DIM, HIDDEN)
    second[:WIDTH, :UNITS] = trained["second.weight"]
    second[WIDTH:, UNITS:] = trained["names"]
    return {
        "visual.head.mlp.fc1.weight": torch.cat([trained["first.weight"], GAIN * class_weight]),
        "visual.head.mlp.fc1.bias": torch.cat([trained["first.bias"], GAIN * (class_bias - THRESHOLD)]),
        "visual.head.mlp.fc2.weight": second,
        "visual.head.mlp.fc2.bias": torch.cat([trained["second.bias"], torch.zeros(NAME_DIM)]),
        "text.proj.weight": trained["text"],
        "logit_scale": trained["logit_scale"],
    }
