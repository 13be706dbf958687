"""What a device can do at most: dense flops a second by its name, or measured."""

import re
import time

import torch

KNOWN = {
    "GB200": 2500, "B200": 2250, "GH200": 989, "H200": 989, "H20": 148, "H100 NVL": 835, "H100 PCIe": 756, "H100": 989,
    "H800": 989, "A100": 312, "A800": 312, "A40": 149.7, "A30": 165, "A10G": 70, "A10": 125, "L40S": 362, "L40": 181,
    "L4": 121, "RTX 6000 Ada": 364, "RTX A6000": 154.8, "RTX 5090": 209.5, "RTX 4090": 165.2, "RTX 3090": 71,
}  # fmt: skip
"""Dense bfloat16 matrix products with float32 sums, in 1e12 flops a second, as NVIDIA's data sheets state them (where they
state a figure with sparsity, half of it). The first that stands in the device's name as words of their own counts."""

SECONDS = 0.3
"""That a measurement takes."""


def peak_flops(device: torch.device, dtype: torch.dtype | str, told_tflops: float | None = None) -> float:
    """Peak flops a second of one device: as told (log.peak_tflops), known by name for bfloat16, else measured.

    What is measured is a matrix product of this process with its threads, so that MFU on a CPU is a share of what
    these threads reach at best, and nothing that a data sheet says.
    """
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    if told_tflops is not None:
        return told_tflops * 1e12
    known = known_tflops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return known * 1e12 if known and dtype == torch.bfloat16 else measured_flops(device, dtype)


def known_tflops(name: str) -> float | None:
    """By the device's name; None for one that the table lacks."""
    return next((float(peak) for part, peak in KNOWN.items() if re.search(rf"\b{part}\b", name)), None)


def measured_flops(device: torch.device, dtype: torch.dtype, seconds: float = SECONDS) -> float:
    """The quickest of the matrix products that fit into some time."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    torch.mm(a, b)  # the first one prepares the kernel
    best, ends = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.perf_counter()
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best
