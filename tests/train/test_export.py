"""An export is a model like any other: transformers loads it, it says the same, and its card tells what it is."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml

from curate.errors import ConfigError, InputError, StorageError
from curate.shards.plans import Plan
from tests.train.checkpoint.small_nets import checkpoints
from tests.train.checkpoint.small_runs import LORA, logits_of, stirred_run
from tests.train.model.halves import llama_folder, timm_folder
from tests.train.parallel.two_ranks import run_ranks
from tests.train.tiny_runs import save_tiny_model
from train import export as exporting
from train.card import readable, shown
from train.export import export
from train.model.assemble import assemble

if TYPE_CHECKING:
    from transformers import ProcessorMixin

    from train.config import TrainConfig


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, processors: "dict[str, ProcessorMixin]") -> dict[str, Path]:
    """Folders of tiny models."""
    names = ("chatml", "qwen", "idefics")
    return {name: save_tiny_model(tmp_path_factory.mktemp(name), name, processors[name]) for name in names}


@pytest.fixture(scope="module")
def lora_run(tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path], episodes_plan: Plan) -> tuple[Path, Any]:
    """A run with adapters and a trained projector, and its model."""
    out = tmp_path_factory.mktemp("lora") / "run"
    _, model = stirred_run(bases["chatml"], episodes_plan, out, **LORA)
    return out, model


def _loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
    return model.eval(), AutoProcessor.from_pretrained(folder, local_files_only=True)


@pytest.mark.parametrize("name", ["chatml", "qwen", "idefics"])
def test_transformers_loads_it_with_equal_logits(
    tmp_path: Path, bases: dict[str, Path], episodes_plan: Plan, name: str
) -> None:
    _, trained = stirred_run(bases[name], episodes_plan, tmp_path / "run")
    export(tmp_path / "run", tmp_path / "out")
    model, processor = _loaded(tmp_path / "out")
    assert model.dtype == torch.float32
    assert (logits_of(model, processor) - logits_of(trained, processor)).abs().max() <= 1e-6
    assert processor.chat_template
    assert model.generation_config.eos_token_id == processor.tokenizer.eos_token_id


def test_our_towers_and_tied_words_too(tmp_path: Path, episodes_plan: Plan) -> None:
    base = assemble_tiny(tmp_path)
    rules = [{"match": "all", "train": "full"}]
    _, trained = stirred_run(base, episodes_plan, tmp_path / "run", parts=rules)
    export(tmp_path / "run", tmp_path / "out")
    model, processor = _loaded(tmp_path / "out")
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    assert (logits_of(model, processor) - logits_of(trained, processor)).abs().max() <= 1e-6
    assert "import train.model.towers" in (tmp_path / "out/README.md").read_text()


def assemble_tiny(folder: Path) -> Path:
    """A convolutional tower with batch norms before a language model whose head is its embeddings."""
    assemble(str(timm_folder(folder / "timm")), str(llama_folder(folder / "llama", tied=True)), folder / "base")
    return folder / "base"


def test_adapters_merged_say_what_they_said_apart(tmp_path: Path, lora_run: tuple[Path, Any]) -> None:
    run, trained = lora_run
    export(run, tmp_path / "out")
    model, processor = _loaded(tmp_path / "out")
    assert (logits_of(model, processor) - logits_of(trained, processor)).abs().max() < 1e-5
    assert not any("lora" in name for name in model.state_dict())


def test_peft_loads_adapters_apart(tmp_path: Path, lora_run: tuple[Path, Any]) -> None:
    from peft import PeftModel

    run, trained = lora_run
    export(run, tmp_path / "out", lora="apart")
    model, processor = _loaded(tmp_path / "out/base")
    bare = logits_of(model, processor)
    adapted = PeftModel.from_pretrained(model, tmp_path / "out").eval()
    assert (logits_of(adapted, processor) - logits_of(trained, processor)).abs().max() < 1e-5
    assert (bare - logits_of(trained, processor)).abs().max() > 1e-3


def test_bfloat16_is_rounded_once(tmp_path: Path, lora_run: tuple[Path, Any]) -> None:
    run, _ = lora_run
    export(run, tmp_path / "whole")
    export(run, tmp_path / "half", dtype="bfloat16")
    whole, half = (_loaded(tmp_path / name)[0] for name in ("whole", "half"))
    assert half.dtype == torch.bfloat16
    assert all(torch.equal(value.bfloat16(), half.state_dict()[name]) for name, value in whole.state_dict().items())


def _two_rank_checkpoint(config: "TrainConfig") -> dict[str, torch.Tensor]:
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    from train.config import ComputeSettings, ParallelSettings
    from train.model.loading import load_model
    from train.model.parts import parts_of
    from train.model.tuning import prepare
    from train.parallel.ranks import started

    with started(ParallelSettings(), ComputeSettings(device="cpu")) as ranks:
        model = load_model(config.model, config.compute)
        model = prepare(model, parts_of(model), config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5 if parameter.requires_grad else 1)
        fully_shard(model, mesh=ranks.mesh)
        keeper = checkpoints(Path(config.out) / "checkpoints", ranks)
        keeper.save(99, model, None, {"step": 99}, {})
        keeper.wait()
        return {
            name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in model.state_dict().items()
        }


def test_a_checkpoint_of_two_ranks_is_exported_by_one(tmp_path: Path, bases: dict[str, Path], episodes_plan: Plan) -> None:
    config, _ = stirred_run(bases["chatml"], episodes_plan, tmp_path / "run")
    expected, _ = run_ranks(_two_rank_checkpoint, 2, config)
    facts = export(tmp_path / "run", tmp_path / "out")
    assert (facts["step"], len(facts["checkpoint"])) == (99, 2)
    found = _loaded(tmp_path / "out")[0].state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_the_card_tells_where_it_comes_from_and_no_path(
    tmp_path: Path, lora_run: tuple[Path, Any], episodes_plan: Plan
) -> None:
    run, _ = lora_run
    export(run, tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["pipeline_tag"] == "image-text-to-text"
    for told in (episodes_plan.digest, "| 10 | 12,340 |", "CC0-1.0", "tiny", "LoRA of rank 2, alpha 6", "stage: icl",
                 "Training: 1.2500** at step 10", "Held-out plan: 0.1000** at step 10", "| 2 | 0.7500 | 40 |",
                 "| 5 | 2.5000 |\n| 10 | 1.2500 |\n\n"):  # fmt: skip
        assert told in text
    assert "tokens_per_s" not in text
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert str(run.parent).encode() not in path.read_bytes(), path
            assert b"/tmp/" not in path.read_bytes(), path


def test_the_card_names_earlier_stages_and_their_data(tmp_path: Path, bases: dict[str, Path], episodes_plan: Plan) -> None:
    stirred_run(bases["chatml"], episodes_plan, tmp_path / "first", stage="align", parts=[])
    stirred_run(tmp_path / "first", episodes_plan, tmp_path / "second")
    export(tmp_path / "second", tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    assert "| alignment of the projector on captions | first | 10 |" in text
    assert f"Base model: {bases['chatml'].name}." in text
    assert text.count(episodes_plan.digest) == 2


@pytest.mark.parametrize(
    ("row", "sound"),
    [
        ({"kind": "train", "loss": 1.0}, True), ({"kind": "train", "loss": None, "losses": {}}, True), ({"loss": 1.0}, False),
        ({"kind": "validation", "loss": 1, "losses": {"shots": {"0": {"loss": 1.0, "tokens": 4}}}}, True),
        ({"kind": "train", "loss": "low"}, False), ({"kind": "train", "loss": 1, "losses": [1]}, False),
        ({"kind": "train", "loss": 1, "losses": {"shots": {"0": 3}}}, False),
        ({"kind": "train", "loss": 1, "losses": {"shots": {"0": {"loss": "x", "tokens": 4}}}}, False),
    ],
)  # fmt: skip
def test_only_rows_that_a_run_writes_are_read(row: dict[str, Any], sound: bool) -> None:
    assert readable(row) is sound


def test_a_card_without_its_plan_says_so(
    tmp_path: Path, lora_run: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, episodes_plan: Plan
) -> None:
    from train import card

    monkeypatch.setattr(card, "contents_of", lambda *_: None)
    export(lora_run[0], tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    assert "not at hand" in text
    assert episodes_plan.digest[:16] in text


@pytest.mark.parametrize(
    ("place", "published"),
    [("org/name", "org/name"), ("models/x", "models/x"), ("/home/me/x/", "x"), ("~/x", "x"), ("s3://me/x", "x"),
     ("../../me/x", "x"), ("C:\\me\\x", "x")],
)  # fmt: skip
def test_places_are_published_without_the_way_to_them(place: str, published: str) -> None:
    assert shown(place) == published


def test_every_file_has_its_digest_and_equal_checkpoints_give_equal_exports(
    tmp_path: Path, lora_run: tuple[Path, Any]
) -> None:
    export(lora_run[0], tmp_path / "a/out", lora="apart")
    export(lora_run[0], tmp_path / "b/out", lora="apart")
    one, other = (json.loads((tmp_path / name / "out/export.json").read_bytes()) for name in "ab")
    assert one == other
    there = {path.relative_to(tmp_path / "a/out").as_posix() for path in (tmp_path / "a/out").rglob("*") if path.is_file()}
    assert there == {*one["files"], "export.json"}


def test_an_older_export_is_replaced_and_nothing_else(tmp_path: Path, lora_run: tuple[Path, Any]) -> None:
    run, out = lora_run[0], tmp_path / "out"
    export(run, out, lora="apart")
    export(run, out)
    assert (out / "model.safetensors").is_file()
    assert not (out / "base").exists()
    assert os.listdir(tmp_path) == ["out"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="something else"):
        export(run, mine)
    with pytest.raises(InputError, match="something else"):
        export(run, run)
    with pytest.raises(InputError, match="is a file"):
        export(run, mine / "thesis.txt")
    assert os.listdir(mine) == ["thesis.txt"]


def test_an_export_that_fails_leaves_the_older_one(
    tmp_path: Path, lora_run: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(lora_run[0], tmp_path / "out")
    before = (tmp_path / "out/export.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_card", full)
    with pytest.raises(StorageError, match="no space left"):
        export(lora_run[0], tmp_path / "out", lora="apart")
    assert (tmp_path / "out/export.json").read_bytes() == before
    assert os.listdir(tmp_path) == ["out"]


def test_a_moved_base_is_named_and_another_is_refused(
    tmp_path: Path, bases: dict[str, Path], episodes_plan: Plan, lora_run: tuple[Path, Any]
) -> None:
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(bases["chatml"], moved)
    stirred_run(moved, episodes_plan, tmp_path / "run", stage="align", parts=[])
    shutil.rmtree(moved)
    with pytest.raises(InputError, match="does not exist"):
        export(tmp_path / "run", tmp_path / "out")
    export(tmp_path / "run", tmp_path / "out", base=str(bases["chatml"]))
    with pytest.raises(InputError):
        export(tmp_path / "run", tmp_path / "other", base=str(bases["qwen"]))
    export(lora_run[0], tmp_path / "merged")
    with pytest.raises(InputError, match="other weights"):
        export(lora_run[0], tmp_path / "other", base=str(tmp_path / "merged"))


def test_what_cannot_be_exported_is_one_line(tmp_path: Path, bases: dict[str, Path], episodes_plan: Plan) -> None:
    stirred_run(bases["chatml"], episodes_plan, tmp_path / "run", stage="align", parts=[])
    with pytest.raises(ConfigError, match="no adapters"):
        export(tmp_path / "run", tmp_path / "out", lora="apart")
    with pytest.raises(InputError, match="no run of the trainer"):
        export(bases["chatml"], tmp_path / "out")
