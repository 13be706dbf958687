"""Whole training runs at the smallest size: a saved model with its processor, a plan, a config."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from curate.settings import build
from curate.shards.plans import Plan
from tests.train.tiny_models import tiny_model
from train.config import TrainConfig
from train.metrics import Silent

if TYPE_CHECKING:
    from transformers import ProcessorMixin


def save_tiny_model(folder: Path, name: str, processor: "ProcessorMixin") -> Path:
    """A folder that transformers loads: weights, configuration, processor."""
    tiny_model(name, processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def tiny_config(model: Path, plan: Plan, out: Path, **more: Any) -> TrainConfig:
    """Everything trained in float32 with a learning rate that shows; `data` and others are laid over."""
    plain: dict[str, Any] = {
        "model": str(model),
        "out": str(out),
        "data": {"plan": plan.folder.uri, "max_tokens": 640, "load": {"batch": 1, "workers": 0, "epochs": 2}},
        "parts": [{"match": "all", "train": "full"}],
        "optimizer": {"lr": 3e-3, "schedule": "constant", "warmup": 0},
        "compute": {"dtype": "float32", "threads": 1},
        "log": {"every": 1, "tensorboard": False, "peak_tflops": 1},
        "checkpoint": {"every": 1000},
    }
    return build(TrainConfig, laid_over(plain, more))


def laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with others laid over them."""
    merged = dict(under)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = laid_over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return merged


def rows_of(out: Path, kind: str = "train") -> list[dict[str, Any]]:
    """The rows of a run's log."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def curve_of(out: Path, kind: str = "train") -> dict[int, float]:
    """The loss by step; AssertionError where a step stands twice."""
    rows = rows_of(out, kind)
    curve = {row["step"]: row["loss"] for row in rows}
    assert len(curve) == len(rows), "a step stands twice in the log"
    return curve


def close(one: Mapping[Any, float], other: Mapping[Any, float], relative: float = 1e-5) -> None:
    """AssertionError unless both have the same keys in order and, within a relative difference, the same figures."""
    assert list(one) == list(other)
    assert list(one.values()) == pytest.approx(list(other.values()), rel=relative)


class Crash(Exception):
    """What a test's watch ends a run with, as if the process had been killed."""


class CrashAt(Silent):
    """Ends the run behind a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, done: int) -> None:
        """Hears of every step."""
        if done == self._step:
            raise Crash
