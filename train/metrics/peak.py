"""What a device can do at most: dense flops a second by its name, or measured."""

import torch


def peak_flops(device: torch.device, dtype: torch.dtype | str, told_tflops: float | None = None) -> float:
    """Peak flops a second of one device: as told (log.peak_tflops), known by name for bfloat16, else measured in 0.3 s."""
    raise NotImplementedError
