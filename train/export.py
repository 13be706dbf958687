"""A run's checkpoint as a model folder that transformers loads."""

from pathlib import Path
from typing import Any, Literal

Which = Literal["latest", "best"] | int


def export(
    run: Path,
    out: Path,
    checkpoint: Which = "latest",
    lora: Literal["merged", "apart"] = "merged",
    dtype: Literal["float32", "bfloat16"] = "float32",
    base: str | None = None,
) -> dict[str, Any]:
    """Writes safetensors, configuration, processor, generation settings and README.md into `out`, whole or not at all.

    `base` says where config.model lies now, if it was moved. Returns what was written, as plain data.
    """
    raise NotImplementedError
