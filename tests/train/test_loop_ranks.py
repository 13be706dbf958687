"""What must hold of whole runs on several ranks: the curve of one rank, also when their number changes on the way."""

from dataclasses import replace

import pytest

from curate.storage import Folder
from tests.train.parallel.two_ranks import run_ranks
from tests.train.tiny_episodes import tiny_episode, tiny_plan, tiny_record
from tests.train.tiny_runs import Crash, CrashAt, curve_of, rows_of, save_tiny_model, tiny_config
from train.config import TrainConfig
from train.loop import train as trained

THREE_ROWS = {"max_tokens": 320, "load": {"batch": 3, "epochs": 4}}
"""Three rows do not divide by two: a rank has a row of padding at every step."""


def go(config: TrainConfig, crash: int = 0) -> str:
    """Trains in a rank that `run_ranks` started; a crash is an expected end."""
    try:
        trained(config, CrashAt(crash))
    except Crash:
        return "crashed"
    except Exception as error:  # the rank that did not crash lost the other one
        if not crash:
            raise
        return type(error).__name__
    return "done"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Episodes of 0 to 4 shots; every third one is text alone, so that ranks have micro-batches without a picture."""
    made = [tiny_episode(number, (0, 1, 2, 4)[number % 4], images=int(number % 3 > 0)) for number in range(18)]
    two_sources = [(replace(episode, source="ab"[at % 2]), pictures) for at, (episode, pictures) in enumerate(made)]
    samples = [(tiny_record(episode), pictures) for episode, pictures in two_sources]
    return tiny_plan(Folder.of(tmp_path_factory.mktemp("texts")), samples)


@pytest.fixture(scope="module")
def model(tmp_path_factory, processors):
    return save_tiny_model(tmp_path_factory.mktemp("vicuna"), "vicuna", processors["vicuna"])


@pytest.fixture(scope="module")
def one(tmp_path_factory, model, plan):
    """The run of one rank."""
    out = tmp_path_factory.mktemp("one") / "run"
    trained(tiny_config(model, plan, out, data=THREE_ROWS))
    return out


def close(left, right, relative=1e-5):
    assert list(left) == list(right)
    assert list(left.values()) == pytest.approx(list(right.values()), rel=relative)


def parts_of(out):
    """The last row's losses by every axis, flat."""
    losses = rows_of(out)[-1]["losses"]
    return {(axis, name): part["loss"] for axis, parts in losses.items() for name, part in parts.items()}


def agree(one, two):
    """Equal losses, whole and by every part, over equal tokens."""
    close(curve_of(two), curve_of(one))
    close(parts_of(two), parts_of(one), 1e-4)
    assert [row["tokens"] for row in rows_of(two)] == [row["tokens"] for row in rows_of(one)]


def test_two_ranks_have_the_curve_of_one_with_a_trained_tower(tmp_path, model, plan, one):
    run_ranks(go, 2, tiny_config(model, plan, tmp_path / "two", data=THREE_ROWS), timeout=120)
    agree(one, tmp_path / "two")


@pytest.mark.parametrize(("name", "kept"), [("vicuna", "sharded"), ("vicuna", "replicated"), ("qwen", "sharded")])
def test_two_ranks_have_the_curve_of_one_with_a_frozen_tower(tmp_path, processors, plan, name, kept):
    place = save_tiny_model(tmp_path / "model", name, processors[name])
    more = {"data": THREE_ROWS, "parts": [{"match": "all", "train": "full"}, {"match": "vision", "train": "frozen"}]}
    trained(tiny_config(place, plan, tmp_path / "one", **more))
    run_ranks(go, 2, tiny_config(place, plan, tmp_path / "two", parallel={"frozen": kept}, **more), timeout=120)
    agree(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_run_goes_on_with_another_number_of_ranks(tmp_path, model, plan, one, before, after):
    checkpoint = {"every": 2, "background": False}
    config = tiny_config(model, plan, tmp_path / "run", data=THREE_ROWS, checkpoint=checkpoint, parallel={"timeout": 30})
    assert "crashed" in run_ranks(go, before, config, 5, timeout=120)
    assert run_ranks(go, after, config, timeout=120) == ["done"] * after
    close(curve_of(tmp_path / "run"), curve_of(one))
