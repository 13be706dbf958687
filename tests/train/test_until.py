"""A run that leaves at a step before its end goes on later as if it had never left."""

import pytest

from curate.storage import Folder
from tests.train.tiny_episodes import mixed_plan
from tests.train.tiny_processors import tiny_processor
from tests.train.tiny_runs import close, curve_of, save_tiny_model, tiny_config
from train.loop import train


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("vicuna"), "vicuna", tiny_processor("vicuna"))


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return mixed_plan(Folder.of(tmp_path_factory.mktemp("episodes")))


def test_a_run_that_leaves_early_goes_on_as_if_it_had_not(tmp_path, model, plan):
    more = {"steps": 5, "optimizer": {"schedule": "cosine"}, "validation": {"plan": plan.folder.uri, "samples": 2}}
    whole = tiny_config(model, plan, tmp_path / "whole", **more)
    train(whole)
    halted = tiny_config(model, plan, tmp_path / "halted", **more, until=2)
    summary = train(halted)
    assert (summary.step, summary.steps, summary.signal) == (2, 5, 0)
    assert list(curve_of(tmp_path / "halted", "validation")) == [2]
    assert train(halted).step == 2
    assert train(halted.model_copy(update={"until": None})).step == 5
    close(curve_of(tmp_path / "whole"), curve_of(tmp_path / "halted"))
    assert list(curve_of(tmp_path / "halted", "validation")) == [2, 5]


def test_an_end_that_comes_first_is_the_end(tmp_path, model, plan):
    summary = train(tiny_config(model, plan, tmp_path / "run", steps=2, until=9))
    assert (summary.step, summary.signal) == (2, 0)
