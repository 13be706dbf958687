"""Any stage starts from any checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from curate.errors import ConfigError, InputError, IntegrityError
from curate.shards.plans import Plan
from tests.train.checkpoint.small_runs import LORA, logits_of, merged, stirred_run
from tests.train.tiny_runs import save_tiny_model
from train.checkpoint import weights_of
from train.config import ComputeSettings
from train.export import export
from train.model.loading import load_model

if TYPE_CHECKING:
    from transformers import ProcessorMixin

COMPUTE = ComputeSettings(dtype="float32")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, processors: "dict[str, ProcessorMixin]") -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), "chatml", processors["chatml"])


def test_anything_else_than_a_run_is_left_to_transformers(tmp_path: Path) -> None:
    assert weights_of("org/name").base == "org/name"
    assert weights_of(tmp_path).layers == ()


def test_a_run_over_a_run_over_a_run(
    tmp_path: Path, base: Path, episodes_plan: Plan, processors: "dict[str, ProcessorMixin]"
) -> None:
    processor = processors["chatml"]
    stirred_run(base, episodes_plan, tmp_path / "align", stage="align", parts=[])
    stirred_run(tmp_path / "align", episodes_plan, tmp_path / "first", **LORA)
    _, last = stirred_run(tmp_path / "first/checkpoints/step-00000010", episodes_plan, tmp_path / "second", **LORA)
    start = weights_of(tmp_path / "second")
    assert (start.base, len(start.layers)) == (str(base), 3)
    loaded = load_model(str(tmp_path / "second"), COMPUTE)
    assert (logits_of(loaded, processor) - logits_of(last, processor)).abs().max() < 1e-5
    assert (logits_of(loaded, processor) - logits_of(load_model(str(base), COMPUTE), processor)).abs().max() > 0.01


def test_relative_names_hold_from_wherever_a_run_is_loaded(
    tmp_path: Path, base: Path, episodes_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "model").symlink_to(base)
    monkeypatch.chdir(home)
    stirred_run(Path("model"), episodes_plan, Path("runs/first"), stage="align", parts=[])
    stirred_run(Path("runs/first"), episodes_plan, Path("runs/second"), **LORA)
    monkeypatch.chdir(tmp_path)
    start = weights_of("home/runs/second")
    assert (start.base, len(start.layers)) == (str(home / "model"), 2)
    load_model("home/runs/second", COMPUTE)


def test_latest_best_and_named_checkpoints(tmp_path: Path, base: Path, episodes_plan: Plan) -> None:
    run = tmp_path / "run"
    stirred_run(base, episodes_plan, run, steps=(30, 40), checkpoint={"best": "loss"}, stage="align", parts=[])

    def step_of(place: Path) -> int:
        return weights_of(place).layers[-1].manifest.step  # type: ignore[union-attr]

    assert step_of(run) == step_of(run / "checkpoints/latest") == 40
    assert step_of(run / "checkpoints/best") == step_of(run / "checkpoints/step-00000030") == 30  # the first of equals
    with pytest.raises(InputError, match="no checkpoint of step 7; there are 30, 40"):
        weights_of(run, 7)
    (run / "checkpoints/step-00000030").rename(run / "checkpoints/mine")
    with pytest.raises(InputError, match="another name"):
        weights_of(run / "checkpoints/mine")


def test_a_run_without_a_best_without_a_checkpoint_or_over_itself(tmp_path: Path, base: Path, episodes_plan: Plan) -> None:
    run = tmp_path / "run"
    stirred_run(base, episodes_plan, run, stage="align", parts=[])
    with pytest.raises(ConfigError, match=r"checkpoint\.best"):
        weights_of(run, "best")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace(f"model: {base}", f"model: {run}"))
    with pytest.raises(ConfigError, match="starts from itself"):
        weights_of(run)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/config.yaml").write_text(text)
    with pytest.raises(InputError, match="no checkpoint yet"):
        weights_of(tmp_path / "empty")


def test_a_damaged_newest_is_told_not_passed_over(tmp_path: Path, base: Path, episodes_plan: Plan) -> None:
    run = tmp_path / "run"
    stirred_run(base, episodes_plan, run, steps=(1, 2), stage="align", parts=[])
    (run / "checkpoints/step-00000002/rank-00000.safetensors").unlink()
    with pytest.raises(IntegrityError, match="missing; whole checkpoints: 1"):
        weights_of(run)
    place = run / "checkpoints/step-00000001/rank-00000.safetensors"
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged"):
        load_model(str(run / "checkpoints/step-00000001"), COMPUTE)


def test_over_another_base_nothing_is_laid(tmp_path: Path, base: Path, episodes_plan: Plan) -> None:
    stirred_run(base, episodes_plan, tmp_path / "run", stage="align", parts=[])
    model = load_model(str(base), COMPUTE)
    with torch.no_grad():
        next(model.model.language_model.parameters())[0] += 1
    with pytest.raises(InputError, match="other weights"):
        weights_of(tmp_path / "run").lay_over(model)


def test_a_stage_starts_from_an_export_with_adapters_apart(
    tmp_path: Path, base: Path, episodes_plan: Plan, processors: "dict[str, ProcessorMixin]"
) -> None:
    _, tuned = stirred_run(base, episodes_plan, tmp_path / "run", **LORA)
    export(tmp_path / "run", tmp_path / "apart", lora="apart")
    loaded = load_model(str(tmp_path / "apart"), COMPUTE)
    expected = logits_of(merged(tuned), processors["chatml"])
    assert (logits_of(loaded, processors["chatml"]) - expected).abs().max() < 1e-5
