"""What a device can do is told, known or measured, in this order."""

import pytest
import torch

from train.metrics.peak import known_tflops, measured_flops, peak_flops

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H200", 989), ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA L40S", 362), ("NVIDIA GeForce RTX 4090", 165.2), ("NVIDIA H20", 148), ("NVIDIA A10", 125),
        ("NVIDIA RTX A1000", None), ("NVIDIA RTX A4000", None), ("Tesla T4", None),
    ],
)  # fmt: skip
def test_a_gpu_is_known_by_its_name_and_not_by_a_similar_one(name: str, tflops: float | None) -> None:
    assert known_tflops(name) == tflops


def test_what_is_told_wins() -> None:
    assert peak_flops(CPU, "bfloat16", 2.5) == 2.5e12


def test_a_cpu_is_measured_and_nothing_beats_the_measure_by_much() -> None:
    peak = measured_flops(CPU, torch.float32, seconds=0.2)
    assert peak == pytest.approx(measured_flops(CPU, torch.float32, seconds=0.2), rel=0.6)
    assert 1e9 < peak < 1e14
