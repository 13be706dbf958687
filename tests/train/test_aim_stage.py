"""Runs of the stage aim: only the projection learns, they go on where they stopped, and what they made can be asked."""

from pathlib import Path
from typing import Any

import pytest
import torch

from curate.errors import ConfigError, InputError
from curate.shards.plans import Plan
from tests.train.evaluate.reader_asks import NAMES, ask
from tests.train.parallel.two_ranks import run_ranks
from tests.train.tiny_runs import Crash, CrashAt, curve_of, rows_of, tiny_config
from train.checkpoint import weights_of
from train.config import ComputeSettings, TrainConfig
from train.dryrun import dry_run
from train.evaluate.reader import VlmReader
from train.export import export
from train.loop import train as trained
from train.model.loading import load_model

AIM = {"stage": "aim", "parts": [], "aim": {"layers": [1], "ridge_steps": 4}}


def test_the_projection_learns_and_the_model_stays_bit_for_bit(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    trained(
        tiny_config(model, episodes_plan, tmp_path / "run", steps=12, validation={"plan": episodes_plan.folder.uri}, **AIM)
    )
    before, after = (load_model(str(place), ComputeSettings()).state_dict() for place in (model, tmp_path / "run"))
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert set(after) - set(before) == {"aim.linear.weight", "aim.linear.bias", "aim.size"}
    curve = curve_of(tmp_path / "run", "validation")
    assert rows_of(tmp_path / "run")[0]["tokens"] > 0
    assert curve[12] < rows_of(tmp_path / "run")[0]["loss"]


def test_an_interrupted_run_has_the_curve_of_one_that_was_not(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    settings = {**AIM, "steps": 6, "checkpoint": {"every": 2}}
    trained(tiny_config(model, episodes_plan, tmp_path / "whole", **settings))
    config = tiny_config(model, episodes_plan, tmp_path / "broken", **settings)
    with pytest.raises(Crash):
        trained(config, CrashAt(5))
    trained(config)
    assert curve_of(tmp_path / "broken") == curve_of(tmp_path / "whole")


def test_packed_and_unpacked_learn_the_same(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    for name, load in {"packed": {}, "alone": {"packing": False, "micro_batch": 6}}.items():
        data = {"load": {"batch": 1000, "epochs": 1, **load}}
        aim = {**AIM, "aim": {"layers": [1], "init": "identity"}}
        trained(tiny_config(model, episodes_plan, tmp_path / name, data=data, **aim))
    assert curve_of(tmp_path / "packed") == pytest.approx(curve_of(tmp_path / "alone"), rel=1e-5)


def test_a_run_is_asked_with_fused_demonstrations(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    trained(tiny_config(model, episodes_plan, tmp_path / "run", steps=2, **AIM))
    assert weights_of(tmp_path / "run").base == str(model)
    reader = VlmReader.load(tmp_path / "run")
    assert reader.way == "fused"
    (scores,) = reader.likelihoods([ask(1, 2, NAMES)])
    assert len(scores) == 3


def test_an_export_answers_as_its_run(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    trained(tiny_config(model, episodes_plan, tmp_path / "run", steps=2, **AIM))
    export(tmp_path / "run", tmp_path / "exported")
    run, exported = (VlmReader.load(tmp_path / name) for name in ("run", "exported"))
    question = ask(1, 2, NAMES)
    assert exported.way == "fused"
    assert exported.likelihoods([question]) == run.likelihoods([question])
    assert run.aggregator is not None
    assert exported.aggregator is not None
    assert exported.aggregator.facts() == run.aggregator.facts()
    (tmp_path / "exported" / "aim.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="does not fit"):
        VlmReader.load(tmp_path / "exported")


def test_a_dry_run_counts_the_projection(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    found = dry_run(tiny_config(model, episodes_plan, tmp_path / "run", **AIM))
    assert sum(part["trained"] for part in found.parts.values()) == 64 * 64 + 64
    assert not (tmp_path / "run").exists()


def test_a_model_that_fuses_is_not_trained_otherwise(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    trained(tiny_config(model, episodes_plan, tmp_path / "run", steps=2, **AIM))
    with pytest.raises(ConfigError, match="start the stage icl from the model that it was made of"):
        trained(tiny_config(tmp_path / "run", episodes_plan, tmp_path / "next", steps=2))
    trained(tiny_config(tmp_path / "run", episodes_plan, tmp_path / "more", steps=2, **AIM))  # it may learn on


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"parts": [{"match": "projector", "train": "full"}]}, "trains its projection alone"),
        ({"compute": {"compile": True}}, "rows of many lengths"),
    ],
)
def test_what_the_stage_cannot_do_is_told(
    tmp_path: Path, model: Path, episodes_plan: Plan, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        tiny_config(model, episodes_plan, tmp_path / "run", **AIM | more)


def test_another_mode_than_turns_is_told(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    data = {"render": {"mode": "single"}}
    with pytest.raises(ConfigError, match="a turn of its own"):
        trained(tiny_config(model, episodes_plan, tmp_path / "run", steps=2, data=data, **AIM))
    with pytest.raises(ConfigError, match=r"aim.layers: .* is not among the model.s 2; give 0 to 2"):
        trained(tiny_config(model, episodes_plan, tmp_path / "run", steps=2, **{**AIM, "aim": {"layers": [3]}}))


def test_two_ranks_have_the_curve_of_one(tmp_path: Path, model: Path, episodes_plan: Plan) -> None:
    aim = {**AIM, "aim": {"layers": [1], "init": "identity"}, "steps": 4, "data": {"load": {"batch": 3}}}
    trained(tiny_config(model, episodes_plan, tmp_path / "one", **aim))
    run_ranks(trained_alone, 2, tiny_config(model, episodes_plan, tmp_path / "two", **aim), timeout=120)
    assert curve_of(tmp_path / "two") == pytest.approx(curve_of(tmp_path / "one"), rel=1e-5)


def trained_alone(config: TrainConfig) -> None:
    """Trains in a rank that `run_ranks` started."""
    trained(config)
