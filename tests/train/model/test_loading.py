"""A model from a folder, from a run of ours or from one of its checkpoints: all weights there, the attention as asked."""

from pathlib import Path
from typing import Any

import pytest
import torch

from curate.errors import ConfigError, InputError
from tests.train.model.families import FAMILIES, family, trained
from tests.train.model.halves import clip_folder, llama_folder
from tests.train.model.test_tuning import LORA
from train.checkpoint import Checkpoints
from train.config import CheckpointSettings, ComputeSettings, ParallelSettings, TrainConfig
from train.export import export
from train.folder import write_config
from train.model.isolation import implementation_of
from train.model.loading import empty_model, load_model
from train.model.parts import parts_of, sizes
from train.model.tuning import merge_adapters, prepare
from train.parallel.ranks import started

PLAIN = ComputeSettings(dtype="float32", device="cpu", threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaVA as transformers saves it, in bfloat16."""
    place = tmp_path_factory.mktemp("vicuna")
    one = family("vicuna")
    one.model.to(torch.bfloat16).save_pretrained(place)
    one.processor.save_pretrained(place)
    return place


def run_of(folder: Path, out: Path, *rules: dict[str, Any], steps: int = 3) -> tuple[Path, torch.Tensor]:
    """A run that trained a few steps and left a checkpoint; with the logits of what it trained."""
    given = {"model": str(folder), "out": str(out), "data": {"plan": "p"}, "parts": rules, "compute": {"dtype": "float32"}}
    config = TrainConfig.model_validate(given)
    batch = family("vicuna").batch()
    with started(ParallelSettings(), PLAIN) as ranks:
        model = load_model(config.model, config.compute)
        model = prepare(model, parts_of(model), config)
        trained(model, batch, steps, lr=1e-2)
        write_config(config)
        saved = Checkpoints(out / "checkpoints", CheckpointSettings(background=False), ranks)
        saved.save(steps, model, None, {"step": steps}, {})
        saved.wait()
    return out, merge_adapters(model).eval()(**batch).logits


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_loads_in_float32(name: str, tmp_path: Path) -> None:
    one = family(name)
    one.model.save_pretrained(tmp_path)
    model = load_model(str(tmp_path), PLAIN)
    assert type(model) is type(one.model)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    batch = one.batch()
    assert torch.equal(model(**batch).logits, one.model(**batch).logits)


def test_an_empty_model_has_the_same_parts_and_no_weights(folder: Path) -> None:
    empty = empty_model(str(folder))
    assert all(parameter.is_meta for parameter in empty.parameters())
    assert sizes(empty) == sizes(load_model(str(folder), PLAIN))


@pytest.mark.parametrize("attention", ["sdpa", "eager", "flex_attention", "segmented"])
def test_the_language_model_attends_as_asked_and_the_tower_as_before(attention: str, folder: Path) -> None:
    model = load_model(str(folder), ComputeSettings(attention=attention))  # type: ignore[arg-type]
    assert implementation_of(model) == attention
    assert model.config.vision_config._attn_implementation == "sdpa"


def test_attention_that_a_class_cannot_have_is_told(tmp_path: Path) -> None:
    family("qwen").model.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="has no flex_attention attention"):
        load_model(str(tmp_path), ComputeSettings(attention="flex_attention"))


@pytest.mark.parametrize("rules", [(), (LORA,)], ids=["full", "lora"])
def test_a_stage_starts_from_what_a_run_left(rules: Any, folder: Path, tmp_path: Path) -> None:
    out, logits = run_of(folder, tmp_path / "align", *rules)
    batch = family("vicuna").batch()
    begun = load_model(str(folder), PLAIN)(**batch).logits
    for place in (out, out / "checkpoints" / "step-00000003"):
        after = load_model(str(place), PLAIN)(**batch).logits
        assert torch.allclose(after, logits, atol=1e-5)
        assert not torch.allclose(after, begun, atol=1e-2)


def test_a_stage_starts_from_a_run_that_started_from_a_run(folder: Path, tmp_path: Path) -> None:
    first, _ = run_of(folder, tmp_path / "align", {"match": "language", "train": "frozen"})
    second, logits = run_of(first, tmp_path / "icl", LORA)
    assert torch.allclose(load_model(str(second), PLAIN)(**family("vicuna").batch()).logits, logits, atol=1e-5)
    assert sizes(empty_model(str(second))) == sizes(empty_model(str(folder)))


@pytest.mark.parametrize("lora", ["merged", "apart"])
def test_a_stage_starts_from_an_export(lora: Any, folder: Path, tmp_path: Path) -> None:
    run, logits = run_of(folder, tmp_path / "icl", LORA)
    family("vicuna").processor.save_pretrained(run / "processor")
    export(run, tmp_path / "out", lora=lora)
    model = load_model(str(tmp_path / "out"), PLAIN)
    assert torch.allclose(model(**family("vicuna").batch()).logits, logits, atol=1e-5)
    assert not hasattr(model, "peft_config")
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in family("vicuna").model.named_parameters()}
    assert sizes(empty_model(str(tmp_path / "out"))) == sizes(model)


def test_weights_that_are_not_whole_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    del state[next(key for key in state if "multi_modal_projector.linear_1.weight" in key)]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors of the model, .*linear_1"):
        load_model(str(tmp_path), PLAIN)


def test_places_without_a_model_are_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases = {
        str(tmp_path / "empty"): (InputError, "holds no config.json"),
        "/nowhere/at/all": (InputError, "does not exist"),
        str(llama_folder(tmp_path / "llama")): (ConfigError, "is a llama, no vision-language model; `curate assemble`"),
        str(clip_folder(tmp_path / "clip")): (ConfigError, "is a clip, no vision-language model"),
    }
    for place, (kind, message) in cases.items():
        for load in (lambda place: load_model(place, PLAIN), empty_model):
            with pytest.raises(kind, match=message) as error:
                load(place)
            assert "\n" not in str(error.value)


def test_a_torn_file_of_weights_is_told_in_a_line(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot read the model"):
        load_model(str(tmp_path), PLAIN)


def test_code_that_comes_with_a_model_is_not_run(folder: Path, tmp_path: Path) -> None:
    import json

    known = json.loads((folder / "config.json").read_text())
    known |= {"model_type": "foreign", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForImageTextToText": "evil.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(known))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="cannot read the model"):
        load_model(str(tmp_path), PLAIN)
    assert not (tmp_path / "ran").exists()
