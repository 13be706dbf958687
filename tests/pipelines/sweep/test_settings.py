"""A sweep's file is checked before any work, and budgets are amounts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from curate.errors import ConfigError
from pipelines.jobs.layers import laid_over
from pipelines.sweep.settings import budget_of, load_sweep

WHOLE: dict[str, Any] = {"mix": "mix.yaml", "train": "train.yaml", "mixes": {"source": {}}}


def written(at: Path, **more: Any) -> Path:
    (at / "sweep.yaml").write_text(yaml.safe_dump(laid_over(WHOLE, more)))
    return at / "sweep.yaml"


def test_defaults_are_a_sweep(tmp_path: Path) -> None:
    spec = load_sweep(written(tmp_path), ["design.seeds=4"])
    assert (spec.design.seeds, spec.retries, spec.halving) == (4, 1, None)
    assert [kind.kind for kind in spec.design.designs] == ["centroid", "dirichlet"]


def test_yaml_words_are_names_of_components(tmp_path: Path) -> None:
    spec = load_sweep(written(tmp_path, mixes={"replay": {"low": {True: 0.1}}, "shots": {"prior": {0: 1, 2: 3}}}))
    assert spec.mixes["replay"].low == {"yes": 0.1}
    assert spec.mixes["shots"].prior == {"0": 1, "2": 3}
    assert (spec.mixes["replay"].bound("low", "no"), spec.mixes["replay"].bound("high", "no")) == (0, 1)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"mixes": {"sorce": {}}}, "did you mean 'source'"),
        ({"mixes": {"source": {"low": 2}}}, "from 0 to 1"),
        ({"mixes": {"source": {"prior": {"a": 0}}}}, "not all 0"),
        ({"choices": {"order": {"flat": {}}}}, "at least 2"),
        ({"choices": {"order": {"a": {}, "b": {"mix": {"size": 3}}}}}, "size must be one for all"),
        ({"choices": {"order": {"a": {}, "b": {"train": {"steps": 3}}}}}, "steps must be one for all"),
        ({"choices": {"source": {"a": {}, "b": {}}}}, "both a mix and a choice"),
        ({"design": {"seeds": 2}}, "design.seeds"),
        ({"design": {"kinds": [{"kind": "latice"}]}}, "did you mean 'lattice'"),
        ({"design": {"kinds": [{}]}}, "each needs a kind"),
        ({"halving": {"rungs": [9, 3]}}, "from few to many"),
        ({"budget": "4 days"}, "4h, 90m or 20M tokens"),
        ({"budgets": "4h"}, "did you mean 'budget'"),
        ({"benchmarks": {"a": {"place": "b", "shot": [1]}}}, "did you mean 'shots'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_sweep(written(tmp_path, **wrong))


def test_something_must_vary(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"mix": "m", "train": "t"}))
    with pytest.raises(ConfigError, match="nothing varies"):
        load_sweep(tmp_path / "sweep.yaml")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("4h", ("seconds", 14400)), ("90m", ("seconds", 5400)), ("1.5 h", ("seconds", 5400)), ("30s", ("seconds", 30)),
        ("20M tokens", ("tokens", 2e7)), ("3Btok", ("tokens", 3e9)), ("5000 tokens", ("tokens", 5000)),
        ("1e6 tokens", ("tokens", 1e6)),
    ],
)  # fmt: skip
def test_budgets_are_hours_or_tokens(told: str, expected: tuple[str, float]) -> None:
    assert budget_of(told) == expected


@pytest.mark.parametrize("told", ["", "h", "0h", "-1h", "1.2.3h", "4 days", "nan h"])
def test_anything_else_is_no_budget(told: str) -> None:
    with pytest.raises(ConfigError):
        budget_of(told)
