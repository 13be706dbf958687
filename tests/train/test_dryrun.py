"""A dry run says what the run will be, and finds mistakes before anything that takes time."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import train.memory
from curate.errors import ConfigError, InputError
from curate.shards.plans import Plan
from tests.train.tiny_runs import laid_over, save_tiny_model, tiny_config
from train.data.lengths import measure
from train.data.loader import Loader
from train.data.rendering import Renderer
from train.dryrun import DryRun, dry_run
from train.memory import MicroBatch, activations
from train.model.isolation import isolating_mask
from train.model.loading import empty_model
from train.model.parts import parts_of
from train.model.tuning import prepare


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, processors: Any) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), "vicuna", processors["vicuna"])


def run(model: Path, plan: Plan, out: Path, world: int = 1, **more: Any) -> DryRun:
    return dry_run(tiny_config(model, plan, out, **more), world)


@pytest.mark.parametrize("name", ["vicuna", "qwen", "idefics"])
def test_parameters_are_counted_by_part(name: str, processors: Any, episodes_plan: Plan, tmp_path: Path) -> None:
    place = save_tiny_model(tmp_path / name, name, processors[name])
    found = run(place, episodes_plan, tmp_path / "out", stage="align", parts=[])
    real = sum(parameter.numel() for parameter in empty_model(str(place)).parameters())
    assert sum(part["parameters"] for part in found.parts.values()) == real
    learning = {part: counted["trained"] for part, counted in found.parts.items()}
    assert learning == dict.fromkeys(learning, 0) | {"projector": found.parts["projector"]["parameters"]}
    assert found.trained == pytest.approx(learning["projector"] / real)
    assert found.memory["gradients"] == 4 * learning["projector"]
    assert found.memory["optimizer"] == 8 * learning["projector"]
    assert found.memory["all"] == pytest.approx(sum(size for kind, size in found.memory.items() if kind != "all"))


def test_adapters_are_what_learns(model: Path, episodes_plan: Plan, tmp_path: Path) -> None:
    parts = [{"match": "all", "train": "frozen"}, {"match": "language", "train": "lora"}]
    found = run(model, episodes_plan, tmp_path / "out", parts=parts, lora={"rank": 4})
    assert 0 < found.parts["language"]["trained"] < 0.2 * found.parts["language"]["parameters"]
    assert found.parts["vision"]["trained"] == found.parts["embeddings"]["trained"] == 0


def test_steps_and_tokens_are_those_of_the_run_once_lengths_are_measured(
    model: Path, episodes_plan: Plan, tmp_path: Path
) -> None:
    config = tiny_config(model, episodes_plan, tmp_path / "out", data={"max_tokens": 600, "load": {"batch": 3, "epochs": 2}})
    about = dry_run(config)
    lengths = measure(episodes_plan, Renderer.load(config.model, config.data.render))
    found = dry_run(config)
    assert "measured lengths" in found.epoch.counted_by
    loader = Loader(episodes_plan, None, config.training.load, lengths)  # type: ignore[arg-type]
    assert found.steps == loader.count_steps()
    assert found.epoch.tokens == lengths.tokens.sum()
    assert found.epoch.supervised == lengths.supervised.sum()
    assert found.micro_batches == 3
    assert "samples, measured now" in about.epoch.counted_by  # all 24 of them, which is as good
    assert (about.epoch.tokens, about.epoch.samples, about.epoch.images) == (found.epoch.tokens, 24, found.epoch.images)


def test_ranks_share_weights_gradients_and_optimiser(model: Path, episodes_plan: Plan, tmp_path: Path) -> None:
    data = {"load": {"batch": 8}}
    one, four = (run(model, episodes_plan, tmp_path / "out", world, data=data) for world in (1, 4))
    halves = run(model, episodes_plan, tmp_path / "out", 4, data=data, parallel={"replicas": 2})
    for kind in ("gradients", "optimizer"):
        assert four.memory[kind] == one.memory[kind] / 4 == halves.memory[kind] / 2
    assert one.memory["gathered"] == 0 < four.memory["gathered"]
    assert (one.micro_batches, four.micro_batches) == (8, 2)
    with pytest.raises(ConfigError, match="replicas"):
        run(model, episodes_plan, tmp_path / "out", 4, parallel={"replicas": 3})


def test_a_checkpoint_written_while_training_goes_on_is_a_copy_in_the_memory_of_the_host(
    model: Path, episodes_plan: Plan, tmp_path: Path
) -> None:
    def told(world: int, device: str, background: bool) -> DryRun:
        more = {"data": {"load": {"batch": 8}}, "compute": {"device": device}, "checkpoint": {"background": background}}
        return run(model, episodes_plan, tmp_path / "out", world, **more)

    one, two, none = told(1, "cpu", True), told(2, "cpu", True), told(1, "cpu", False)
    learning = sum(part["trained"] for part in one.parts.values())
    assert one.memory["checkpoint_copy"] == 2 * two.memory["checkpoint_copy"] == 12 * learning
    assert "  checkpoint copy" in dict(one.table())
    assert "  checkpoint copy" not in dict(none.table())
    assert told(1, "cuda", True).memory["checkpoint_copy"] == none.memory["checkpoint_copy"] == 0


def test_recomputing_and_shorter_rows_keep_less(model: Path, episodes_plan: Plan, tmp_path: Path) -> None:
    kept: dict[Any, float] = {}
    for recompute in ("none", "selective", "full"):
        for length in (512, 1024):
            config = tiny_config(model, episodes_plan, tmp_path / "out", compute={"recompute": recompute})
            empty = empty_model(str(model))
            parts = parts_of(empty)
            empty = prepare(empty, parts, config)
            kept[recompute, length] = activations(empty, parts, config, MicroBatch(2, length, 64, 0), False)
    assert kept["full", 1024] < kept["selective", 1024] < kept["none", 1024]
    assert 1.8 < kept["none", 1024] / kept["none", 512] < 4.2


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_many_blocks_are_drawn_out_from_few(
    recompute: str, model: Path, episodes_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model, tmp_path / "deep")
    known = json.loads((tmp_path / "deep" / "config.json").read_text())
    known["text_config"]["num_hidden_layers"] = 10
    (tmp_path / "deep" / "config.json").write_text(json.dumps(known))
    config = tiny_config(tmp_path / "deep", episodes_plan, tmp_path / "out", compute={"recompute": recompute})
    found = []
    for few in (6, 100):
        monkeypatch.setattr(train.memory, "FEW", few)
        empty = empty_model(config.model)
        parts = parts_of(empty)
        found.append(activations(prepare(empty, parts, config), parts, config, MicroBatch(1, 512, 64, 0), False))
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_activations_are_about_what_a_real_pass_allocates(processors: Any, episodes_plan: Plan, tmp_path: Path) -> None:
    from torch.distributed._tools.mem_tracker import MemTracker

    from tests.train.tiny_models import tiny_model

    real = tiny_model("vicuna", processors["vicuna"]).train()
    config = tiny_config(save_tiny_model(tmp_path / "m", "vicuna", processors["vicuna"]), episodes_plan, tmp_path / "out")
    empty = empty_model(config.model)
    parts = parts_of(empty)
    estimate = activations(prepare(empty, parts, config), parts, config, MicroBatch(1, 1024, 1024, 0), False)
    tracker = MemTracker()
    for parameter in real.parameters():
        parameter.grad = torch.zeros_like(parameter)
    tracker.track_external(real)
    ids = torch.full((1, 1024), 5)
    with tracker:
        mask = isolating_mask(real, torch.ones_like(ids))
        real(input_ids=ids, labels=ids, attention_mask=mask, use_cache=False).loss.backward()
    kinds = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]
    passing = sum(size for kind, size in kinds.items() if str(getattr(kind, "value", kind)) in ("Activation", "Temp", "Other"))
    assert estimate == pytest.approx(passing, rel=0.25)


def test_it_is_told_as_a_table_and_as_json(model: Path, episodes_plan: Plan, tmp_path: Path) -> None:
    found = run(model, episodes_plan, tmp_path / "out")
    said = dict(found.table())
    assert said["  vision"].endswith("all learn")
    assert {"parameters", "steps", "tokens", "  supervised", "  activations", "counted by"} <= set(said)
    assert json.loads(json.dumps(found.as_json()))["trained_share"] == 1
    assert not (tmp_path / "out").exists()


COMMAND = [sys.executable, "-m", "pipelines.cli", "train", "run.yaml", "--dry-run"]
SOURCE = str(Path(__file__).parents[2])
WRONG: dict[str, dict[str, Any]] = {
    "unknown key": {"optimiser": {"lr": 1}},
    "no such plan": {"data": {"plan": "nowhere"}},
    "no such model": {"model": "./nowhere"},
    "rule without match": {"parts": [{"match": "no.such.*"}]},
    "output taken": {"out": "."},
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_config_costs_less_than_five_seconds(mistake: str, model: Path, episodes_plan: Plan, tmp_path: Path) -> None:
    config = tiny_config(model, episodes_plan, tmp_path / "out").model_dump(mode="json")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(laid_over(config, WRONG[mistake])))
    before = children()
    ran = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": SOURCE})
    spent = children() - before
    assert ran.returncode == 2, ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    if spent > 5:  # a busy machine: compare with what nothing but importing the libraries costs now
        subprocess.run(
            [sys.executable, "-c", "import torch; from transformers import LlavaForConditionalGeneration"], check=True
        )
        assert spent < 2 * (children() - before - spent)


def children() -> float:
    """Seconds of processor time of all child processes so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_mistakes_are_those_of_the_run(model: Path, episodes_plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        dry_run(tiny_config(tmp_path / "nothing", episodes_plan, tmp_path / "out"))
    with pytest.raises(ConfigError):
        run(model, episodes_plan, tmp_path / "out", data={"max_tokens": 64, "load": {"max_tokens": 32}})
