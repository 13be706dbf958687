"""Targets: gains are paired by group, a benchmark at 0 shots alone is a skill, and no error is claimed to be nothing."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.sweep.targets import losses_of, realised_of, scores_of, tokens_of
from tests.pipelines.sweep.fake_engine import design_of


@dataclass
class Answers:
    """Stands for an evaluation: right answers by group for each number of shots."""

    right: dict[int, list[float]]
    metric: str = "choice"
    names: dict[int, list[str]] = field(default_factory=dict)

    def row(self, bench: str, condition: str, shots: int) -> Any:
        assert condition == ("full" if shots else "none")
        if shots not in self.right:
            return None
        score = sum(self.right[shots]) / len(self.right[shots])
        return type("Row", (), {"bench": bench, "condition": condition, "shots": shots, "score": score, "metric": self.metric})

    def answers(self, _bench: str, _condition: str, shots: int) -> list[Any]:
        names = self.names.get(shots) or [f"g{at}" for at in range(len(self.right[shots]))]
        pairs = zip(self.right[shots], names, strict=True)
        return [type("Answer", (), {"right": right, "group": group}) for right, group in pairs]


def scored(answers: Answers, *shots: int) -> dict[str, Any]:
    return scores_of(answers, "b", shots)  # type: ignore[arg-type]


def test_a_gain_has_the_error_of_its_differences() -> None:
    found = scored(Answers({0: [0, 1, 0, 1], 2: [1, 1, 0, 1]}), 0, 2)
    assert set(found) == {"accuracy/b/0", "accuracy/b/2", "gain/b/2"}
    assert found["gain/b/2"]["value"] == 0.25
    assert found["gain/b/2"]["error"] == pytest.approx(0.25)  # sd of 1, 0, 0, 0 is a half; four groups
    assert found["accuracy/b/0"]["error"] == pytest.approx((1 / 3) ** 0.5 / 2)


def test_groups_that_differ_are_not_paired() -> None:
    other = Answers({0: [0, 1], 2: [1, 0]}, names={2: ["x", "y"]})
    found = scored(other, 0, 2)
    assert found["gain/b/2"]["error"] == pytest.approx(2**0.5 * found["accuracy/b/0"]["error"])


def test_without_zero_shots_there_is_no_gain_and_with_them_alone_a_skill() -> None:
    assert set(scored(Answers({2: [1, 0]}), 2)) == {"accuracy/b/2"}
    assert set(scored(Answers({0: [1, 0]}), 0)) == {"skill/b"}


def test_groups_that_score_alike_still_have_an_error() -> None:
    found = scored(Answers({0: [1.0] * 8, 1: [1.0] * 8}), 0, 1)
    assert 0 < found["accuracy/b/1"]["error"] < 0.15
    assert found["gain/b/1"]["error"] > found["accuracy/b/1"]["error"]


def test_captions_and_single_groups_have_no_error() -> None:
    assert scored(Answers({0: [3.0, 2.0], 1: [4.0, 3.0]}, "cider"), 0, 1)["gain/b/1"] == {"value": 1.0, "error": None}
    assert scored(Answers({0: [1.0]}), 0)["skill/b"]["error"] is None


def test_losses_and_tokens_are_those_of_the_log(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"step": 2, "kind": "train", "step_s": 0.5, "tokens_per_s": {"real": 100.0}, "tokens": 30},
        {"step": 2, "kind": "validation", "losses": {"source": {"web": {"loss": 3.0, "tokens": 9}}}},
        {"step": 4, "kind": "train", "step_s": 0.5, "tokens_per_s": {"real": 200.0}, "tokens": 30},
        {"step": 4, "kind": "validation", "losses": {"source": {"web": {"loss": 2.0, "tokens": 9}}}},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert losses_of(tmp_path, 2) == {"loss/web": {"value": 3.0, "error": None}}
    assert losses_of(tmp_path, 4) == {"loss/web": {"value": 2.0, "error": None}}
    assert losses_of(tmp_path, 3) == {}
    assert tokens_of(tmp_path) == {"real": 300, "supervised": 60}


def test_realised_shares_are_those_of_the_demand_on_the_components() -> None:
    def demand(value: str, realised: float, replay: str) -> dict[str, Any]:
        return {"axis": "source", "within": {"replay": replay}, "value": value, "realised": realised}

    requested = [demand("old", 100.0, "yes"), demand("a", 100.0, "no")]
    plan = type("Plan", (), {"manifest": type("Manifest", (), {"report": {"requested": requested}})})
    assert realised_of(plan, design_of(1).space) == {"source": {"a": 1.0, "b": 0.0}}  # type: ignore[arg-type]
