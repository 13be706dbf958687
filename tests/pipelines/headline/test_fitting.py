"""A plan lasts a training's steps, or the reader is told that it cannot."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from curate.errors import ConfigError
from pipelines.headline import fitting


def fake(monkeypatch: pytest.MonkeyPatch, per_step: float, most: int = 10**9) -> list[int | None]:
    """Plans of any size up to `most`, of which so many samples go into a step; the sizes that were asked for."""
    asked: list[int | None] = []

    def mixed(_spec: Path, _out: str, size: int | None, _materialise: bool = False) -> list[int]:
        asked.append(size)
        return [0] * min(size or 3000, most)

    monkeypatch.setattr(fitting, "mixed", mixed)
    monkeypatch.setattr(fitting, "steps_of", lambda plan, _config: -int(-len(plan) // per_step))
    return asked


def config(steps: int | None) -> Any:
    return SimpleNamespace(steps=steps, out="runs/x")


@pytest.mark.parametrize(("steps", "per_step"), [(3, 20.7), (150, 9.3), (1000, 4.1), (40, 75.0)])
def test_one_pass_lasts_the_steps_and_hardly_more(monkeypatch: pytest.MonkeyPatch, steps: int, per_step: float) -> None:
    fake(monkeypatch, per_step)
    plan = fitting.fitted(Path("mix.yaml"), "plan", config(steps))
    assert steps <= len(plan) / per_step + 1  # type: ignore[arg-type]
    assert fitting.steps_of(plan, config(steps)) - steps <= max(1, 0.02 * steps)


def test_a_plan_that_fits_is_not_mixed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake(monkeypatch, 30.0)
    fitting.fitted(Path("mix.yaml"), "plan", config(100))
    assert asked == [None]


def test_too_few_samples_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, 10.0, most=500)
    with pytest.raises(ConfigError, match="no size of the plan lasts 100 steps"):
        fitting.fitted(Path("mix.yaml"), "plan", config(100))


def test_a_training_without_steps_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, 10.0)
    with pytest.raises(ConfigError, match="has none"):
        fitting.fitted(Path("mix.yaml"), "plan", config(None))
