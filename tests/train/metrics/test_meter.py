"""Rates are sums over ranks and steps, whoever counted them; what they say is what the batches hold."""

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from train.data.records import Batch, Segment
from train.metrics.meter import Meter, images_of, learning_rates, memory


class TwoRanks:
    """This rank and another that counted the same."""

    world, device = 2, torch.device("cpu")

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values * 2

    def gather(self, value: object) -> list[object]:
        return [value, {"now": 1000.0, "peak": 2000.0}]


class OneRank(TwoRanks):
    world = 1

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values


def batch(pictures: int = 2) -> Batch:
    """Two rows of eight: 11 real positions, 4 supervised ones."""
    segments = torch.tensor([[1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 1, 1, 0, 0, 0, 0]], dtype=torch.int32)
    weights = torch.zeros(2, 8)
    weights[0, 2:4] = 0.5
    weights[1, 1:3] = 1
    inputs = {"input_ids": torch.zeros(2, 8, dtype=torch.int64), "pixel_values": torch.ones(pictures, 3, 4, 4)}
    return Batch(inputs, torch.zeros(2, 8).long(), weights, torch.zeros(2, 8).short(), segments)


def sgd() -> torch.optim.Optimizer:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    groups: list[dict[str, Any]] = [
        {"params": [parameters[0]], "lr": 0.1, "part": "projector"},
        {"params": [parameters[1]], "lr": 0.2, "part": "language"},
        {"params": [parameters[2]], "lr": 0.2, "part": "language"},
    ]
    return torch.optim.SGD(groups)


class Thousand:
    """Flops that are known."""

    def __call__(self, batch: Batch) -> torch.Tensor:
        return torch.tensor(1000.0, dtype=torch.float64)


def measured(ranks: Any, steps: int = 3, peak: float | None = 1e6) -> dict[str, Any]:
    meter = Meter(ranks, Thousand(), 10, peak)  # type: ignore[arg-type]
    for _ in range(steps):
        meter.waited(0.0)
        meter.step([batch(), batch()], torch.tensor(0.25))
    time.sleep(0.05)
    return meter.figures(sgd(), steps)


def test_rates_keep_their_proportions_and_count_every_rank() -> None:
    alone, together = measured(OneRank()), measured(TwoRanks())
    for figures, world in ((alone, 1), (together, 2)):
        rates, seconds = figures["tokens_per_s"], figures["step_s"]
        assert rates["all"] * seconds == pytest.approx(32 * world)
        assert rates["real"] * seconds == pytest.approx(22 * world)
        assert rates["supervised"] * seconds == pytest.approx(8 * world)
        assert figures["images_per_s"] * seconds == pytest.approx(4 * world)
        assert figures["mfu"] == pytest.approx(2000 / (1e6 * seconds))
        assert figures["grad_norm"] == 0.25
    assert together["memory_gb"] == {"now": 1000.0, "peak": 2000.0}


def test_waiting_is_a_share_and_pauses_belong_to_no_step() -> None:
    meter = Meter(OneRank(), None, 100, None)  # type: ignore[arg-type]
    time.sleep(0.1)  # before the first batch is asked for: loading the model
    time.sleep(0.05)
    meter.waited(0.05)
    with meter.paused():
        time.sleep(0.2)
    time.sleep(0.05)
    meter.step([batch()])
    figures = meter.figures(sgd(), 1)
    assert 0.09 < figures["step_s"] < 0.15
    assert figures["data_wait"] == pytest.approx(0.05 / figures["step_s"])
    assert figures["eta_s"] == pytest.approx(99 * figures["step_s"])
    assert "mfu" not in figures
    assert figures["grad_norm"] is None


def test_the_time_that_is_left_follows_slowly_and_ends_at_nothing() -> None:
    meter = Meter(OneRank(), None, 3, None)  # type: ignore[arg-type]
    told = []
    for done, seconds in ((1, 0.02), (2, 0.2), (3, 0.02)):
        meter.waited(0.0)
        time.sleep(seconds)
        meter.step([batch()])
        told.append(meter.figures(sgd(), done))
    assert told[0]["eta_s"] == pytest.approx(2 * told[0]["step_s"])
    assert told[0]["step_s"] < told[1]["eta_s"] < told[1]["step_s"]
    assert told[2]["eta_s"] == 0


def test_a_stretch_without_a_step_divides_by_nothing() -> None:
    meter = Meter(OneRank(), None, 3, None)  # type: ignore[arg-type]
    figures = meter.figures(sgd(), 0)
    assert "step_s" not in figures
    assert figures["tokens_per_s"]["all"] == 0


def test_learning_rates_stand_by_part() -> None:
    assert learning_rates(sgd()) == {"projector": 0.1, "language": 0.2}


def test_pictures_are_counted_by_grid_or_by_rows() -> None:
    plain = batch(3)
    assert images_of(plain) == 3
    grids = {"pixel_values": torch.ones(40, 8), "image_grid_thw": torch.ones(5, 3)}
    assert images_of(Batch(grids, *(plain.labels,) * 4)) == 5
    assert images_of(Batch({"pixel_values": torch.ones(1, 7, 3, 4, 4)}, *(plain.labels,) * 4)) == 7
    assert images_of(Batch({}, *(plain.labels,) * 4)) == 0


def test_pictures_of_the_plan_count_and_blank_ones_do_not() -> None:
    meter = Meter(OneRank(), None, 1, None, np.array([0, 3, 0, 2], np.int32))  # type: ignore[arg-type]
    meter.waited(0.0)
    with_two = replace(batch(), contents=(Segment(0, 0, 3, 1), Segment(0, 3, 7, 3)))
    blank = replace(batch(1), contents=(Segment(0, 0, 3, 2),))
    meter.step([with_two, blank])
    figures = meter.figures(sgd(), 1)
    assert figures["images_per_s"] * figures["step_s"] == pytest.approx(5)


def test_memory_is_that_of_this_process() -> None:
    before = memory(torch.device("cpu"))
    held = torch.ones(50_000_000)  # 200 MB
    after = memory(torch.device("cpu"))
    assert 0.19 < after["now"] - before["now"] < 0.3
    assert after["peak"] >= after["now"] - 0.01
    assert math.isfinite(float(held[0]))
