"""LoRA updates as a folder of peft's, beside the model that they belong to: written by an export, read where it is used.

FOLDER/adapter_config.json, adapter_model.safetensors    what PeftModel.from_pretrained reads
FOLDER/base/                                             the model without them, and its processor
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from curate.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from torch import nn

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "base"
_PREFIX = "base_model.model."

Update = tuple[Tensor, Tensor, float]
"""A LoRA update of a weight: A [r, in], B [out, r] and the scaling of B @ A."""


def add_updates(named: Mapping[str, Tensor], updates: Mapping[str, Update], where: str) -> None:
    """weight += scaling * B @ A for every module; InputError for one that the model does not have in that shape."""
    for module, (down, up, scaling) in updates.items():
        weight = named.get(f"{module}.weight")
        if weight is None or down.dim() != 2 or weight.shape != (up.shape[0], down.shape[1]):
            raise InputError(f"{where} holds an adapter of {module}, which does not fit the model; is it the run's model?")
        with torch.no_grad():
            weight += ((up.float() @ down.float()) * scaling).to(weight.dtype)


def write_adapter(folder: Path, updates: Mapping[str, Update], dtype: torch.dtype) -> None:
    """Writes the updates as peft reads them. Modules are named in full, so that no other one is meant."""
    from peft import LoraConfig
    from safetensors.torch import save_file

    tensors = {}
    for module, (down, up, _) in updates.items():
        tensors[f"{_PREFIX}{module}.lora_A.weight"] = down.to(dtype).contiguous()
        tensors[f"{_PREFIX}{module}.lora_B.weight"] = up.to(dtype).contiguous()
    down, _, scaling = next(iter(updates.values()))
    rank = int(down.shape[0])
    alpha: Any = scaling * rank  # peft divides by the rank again, whatever its annotation says of whole numbers
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=sorted(updates), inference_mode=True)
    config.target_modules = sorted(updates)  # peft makes a set of it, whose order changes
    config.save_pretrained(str(folder))
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def is_apart(folder: Path) -> bool:
    """Whether a folder holds adapters with their model beside them."""
    return (folder / CONFIG).is_file() and (folder / BASE / "config.json").is_file()


@dataclass(frozen=True)
class Apart:
    """The adapters of such a folder, to be added to the model in it."""

    folder: Path

    def lay_over(self, model: "nn.Module", adapters: bool = True) -> None:
        """Adds the updates to the model's weights, in place."""
        if adapters:
            add_updates(dict(model.named_parameters()), self.updates(), str(self.folder))

    def updates(self) -> dict[str, Update]:
        """By module; IntegrityError where the files are not what an export writes."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            config: dict[str, Any] = json.loads((self.folder / CONFIG).read_bytes())
            scaling = float(config["lora_alpha"]) / int(config["r"])
            tensors = load_file(self.folder / WEIGHTS)
            names = [name.removeprefix(_PREFIX).removesuffix(".lora_A.weight") for name in tensors if ".lora_A." in name]
            return {name: (*(tensors[f"{_PREFIX}{name}.lora_{side}.weight"] for side in "AB"), scaling) for name in names}
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, SafetensorError) as error:
            raise IntegrityError(f"{self.folder} holds no adapter as an export writes it: {error}") from None
