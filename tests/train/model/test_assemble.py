"""A tower and a language model become one LLaVA: loaded by plain transformers, each half computing what it did before."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from curate.errors import ConfigError, InputError, MissingToolError
from pipelines.wheels import Wheels
from tests.train.model.families import Family, trained
from tests.train.model.halves import bert_folder, clip_folder, llama_folder, siglip_folder, timm_folder
from tests.train.model.test_tuning import FAR, LORA, config
from tests.train.tiny_episodes import tiny_episode, tiny_record
from train.data.rendering import Renderer
from train.model import assemble as room
from train.model.assemble import AssembleSettings, assemble, preview, probes, token_scale, visual_tokens
from train.model.loading import load_model
from train.model.parts import parts_of
from train.model.tuning import prepare

TOWERS = {"clip": (clip_folder, 16), "siglip": (siglip_folder, 16), "timm": (timm_folder, 25)}


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by name: clip, siglip, timm, llama, tied, plain (no chat template), spare, bert."""
    base = tmp_path_factory.mktemp("halves")
    return {name: make(base / name) for name, (make, _) in TOWERS.items()} | {
        "llama": llama_folder(base / "llama"),
        "tied": llama_folder(base / "tied", tied=True),
        "plain": llama_folder(base / "plain", chat=False),
        "spare": llama_folder(base / "spare", spare=20),
        "bert": bert_folder(base / "bert"),
    }


@pytest.fixture(scope="module")
def joined(halves: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Assembled folders by tower, over the tied language model."""
    base = tmp_path_factory.mktemp("joined")
    for name in TOWERS:
        assemble(str(halves[name]), str(halves["tied"]), base / name)
    return {name: base / name for name in TOWERS}


def loaded(folder: Path) -> Family:
    """By plain transformers, with our towers imported."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    return Family(model, AutoProcessor.from_pretrained(folder))


def picture(seed: int, size: tuple[int, int] = (50, 40)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8))


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", TOWERS)
def test_the_folder_loads_as_llava_and_answers(name: str, joined: dict[str, Path]) -> None:
    one = loaded(joined[name])
    assert type(one.model).__name__ == "LlavaForConditionalGeneration"
    question = one.question()
    assert (
        (question["input_ids"] == one.processor.image_token_id).sum() == TOWERS[name][1] == one.model.config.image_seq_length
    )
    assert one.model.generate(**question, max_new_tokens=3, do_sample=False).shape[1] == question["input_ids"].shape[1] + 3


@pytest.mark.parametrize("name", TOWERS)
def test_what_is_loaded_computes_what_was_saved(name: str, joined: dict[str, Path], tmp_path: Path) -> None:
    one = loaded(joined[name])
    one.model.save_pretrained(tmp_path)
    one.processor.save_pretrained(tmp_path)
    batch = one.batch()
    again = loaded(tmp_path)
    assert torch.equal(again.model(**again.batch()).logits, one.model(**batch).logits)


@pytest.mark.parametrize("name", TOWERS)
@pytest.mark.parametrize("rules", [(), (LORA,)], ids=["full", "lora"])
def test_what_was_assembled_learns(name: str, rules: Any, joined: dict[str, Path]) -> None:
    one = loaded(joined[name])
    model = prepare(one.model, parts_of(one.model), config(*rules, lora={"rank": 8, "alpha": 32}))
    losses = trained(model, one.batch(), 20, lr=1e-2 if rules else 3e-3)
    assert losses[-1] < FAR * losses[0]


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_features_are_those_before_the_last_layer(name: str, halves: dict[str, Path], joined: dict[str, Path]) -> None:
    from transformers import CLIPVisionModel, SiglipVisionModel

    whole = {"clip": CLIPVisionModel, "siglip": SiglipVisionModel}[name].from_pretrained(halves[name]).eval()
    pixels = torch.randn(2, 3, 32, 32)
    expected = whole(pixels, output_hidden_states=True).hidden_states[-2]
    expected = expected[:, 1:] if name == "clip" else expected
    model = loaded(joined[name]).model
    assert torch.allclose(visual_tokens(model, pixels), expected, atol=1e-6)
    found = model.model.get_image_features(pixels, vision_feature_layer=-1, vision_feature_select_strategy=
                                           model.config.vision_feature_select_strategy).pooler_output  # fmt: skip
    assert torch.allclose(torch.stack(list(found)), model.model.multi_modal_projector(expected), atol=1e-5)


@pytest.mark.parametrize("lm", ["llama", "tied", "spare"])
def test_texts_mean_what_they_meant_to_the_language_model(lm: str, halves: dict[str, Path], tmp_path: Path) -> None:
    assemble(str(halves["timm"]), str(halves[lm]), tmp_path / "out")
    model, alone = loaded(tmp_path / "out").model, AutoModelForCausalLM.from_pretrained(halves[lm]).eval()
    ids = torch.arange(5, 40)[None]
    rows = alone.config.vocab_size
    assert torch.equal(model(input_ids=ids).logits[..., :rows], alone(input_ids=ids).logits)
    assert model.generation_config.eos_token_id == alone.generation_config.eos_token_id
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == (lm == "tied")


def test_new_rows_of_the_embeddings_are_the_mean(halves: dict[str, Path], joined: dict[str, Path]) -> None:
    table = loaded(joined["timm"]).model.get_input_embeddings().weight
    old = AutoModelForCausalLM.from_pretrained(halves["tied"]).get_input_embeddings().weight
    assert table.shape[0] % room.MULTIPLE == 0
    assert torch.allclose(table[len(old) :], old.mean(0).expand(len(table) - len(old), -1), atol=1e-6)


def test_rows_that_are_to_spare_serve_the_image_token(halves: dict[str, Path], tmp_path: Path) -> None:
    facts = assemble(str(halves["timm"]), str(halves["spare"]), tmp_path / "out")
    model = loaded(tmp_path / "out").model
    old = AutoModelForCausalLM.from_pretrained(halves["spare"]).get_input_embeddings().weight
    assert model.get_input_embeddings().weight.shape == old.shape
    assert model.config.image_token_id == facts.vocabulary - 1 < len(old)


@pytest.mark.parametrize("name", TOWERS)
def test_visual_tokens_begin_as_large_as_words(name: str, joined: dict[str, Path]) -> None:
    one = loaded(joined[name])
    size = one.model.config.vision_config.image_size
    assert token_scale(one.model, probes(size, 0)) == pytest.approx(1, abs=0.01)
    others = one.processor.image_processor([picture(seed) for seed in range(8)], return_tensors="pt")["pixel_values"]
    assert 0.5 < token_scale(one.model, others) < 2
    assert json.loads((joined[name] / "assembled.json").read_text())["scale"] == pytest.approx(1, abs=0.01)


def test_the_seed_alone_decides_about_the_projector(halves: dict[str, Path], joined: dict[str, Path], tmp_path: Path) -> None:
    given = (str(halves["timm"]), str(halves["tied"]))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads % 2 + 1)  # sums come out otherwise by a bit
    torch.rand(3)
    assemble(*given, tmp_path / "again")
    torch.set_num_threads(threads)
    assert digests(tmp_path / "again") == digests(joined["timm"])
    assemble(*given, tmp_path / "other", AssembleSettings(seed=1))
    first, other = (loaded(folder).model.state_dict() for folder in (joined["timm"], tmp_path / "other"))
    differing = {name for name in first if not torch.equal(first[name], other[name])}
    assert differing == {f"model.multi_modal_projector.linear_{number}.weight" for number in (1, 2)}


def test_nothing_of_this_machine_is_written(joined: dict[str, Path], tmp_path: Path) -> None:
    for folder in joined.values():
        for file in folder.glob("*.json"):
            assert str(tmp_path.parent.parent) not in file.read_text(), file.name


def test_the_language_models_template_gets_pictures(halves: dict[str, Path], joined: dict[str, Path]) -> None:
    processor, tokenizer = loaded(joined["clip"]).processor, AutoTokenizer.from_pretrained(halves["tied"])
    said = [("user", "Which one?"), ("assistant", "This one.")]
    texts = [{"role": role, "content": text} for role, text in said]
    parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in said]
    expected = tokenizer.apply_chat_template(texts, tokenize=False)
    assert processor.apply_chat_template(texts, tokenize=False) == expected
    assert processor.apply_chat_template(parts, tokenize=False) == expected
    parts[0]["content"].insert(0, {"type": "image"})
    assert processor.apply_chat_template(parts, tokenize=False) == expected.replace("Which", "<image>\nWhich")


@pytest.mark.parametrize("lm", ["tied", "plain"])
def test_episodes_can_be_rendered(lm: str, halves: dict[str, Path], tmp_path: Path) -> None:
    assemble(str(halves["timm"]), str(halves[lm]), tmp_path / "out", AssembleSettings(grid=2))
    renderer = Renderer.load(tmp_path / "out")
    rendered = renderer.render(tiny_record(tiny_episode(3, 2)[0]))
    assert rendered.image_tokens == 3 * 4
    learned = renderer.processor.tokenizer.decode(rendered.input_ids[rendered.weights > 0])
    assert "bovine" in learned
    assert learned.endswith("<|im_end|>" if lm == "tied" else "</s>")


def test_whole_pictures_are_squeezed_to_the_towers_square(joined: dict[str, Path]) -> None:
    images = loaded(joined["timm"]).processor.image_processor
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, :20] = 255  # a white edge that a crop would lose
    pixels = images(Image.fromarray(wide), return_tensors="pt")["pixel_values"][0]
    assert pixels.shape == (3, 160, 160)
    assert torch.allclose(pixels[:, 80, 5], (1 - torch.tensor(images.image_mean)) / torch.tensor(images.image_std), atol=1e-2)
    assert tuple(images.image_mean) == (0.4, 0.5, 0.6)


def test_a_preview_tells_the_same_and_writes_nothing(halves: dict[str, Path], tmp_path: Path) -> None:
    for name in ("clip", "timm"):
        given = (str(halves[name]), str(halves["tied"]))
        seen = preview(*given, tmp_path / name)
        assert not (tmp_path / name).exists()
        made = assemble(*given, tmp_path / name)
        assert seen.scale is None
        assert {**vars(made), "scale": None} == vars(seen)


def test_numbers_of_the_folder_can_be_chosen(halves: dict[str, Path], joined: dict[str, Path], tmp_path: Path) -> None:
    assemble(str(halves["clip"]), str(halves["tied"]), tmp_path / "out", AssembleSettings(dtype="bfloat16"))
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tmp_path / "out", joined["clip"])]
    assert sizes[0] == pytest.approx(sizes[1] / 2, rel=0.1)
    model = load_model(str(tmp_path / "out"), config().compute)
    assert model.dtype == torch.float32


def test_a_folder_appears_whole_or_not_at_all(
    halves: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("transformers.ProcessorMixin.save_pretrained", fail)
    with pytest.raises(KeyboardInterrupt):
        assemble(str(halves["clip"]), str(halves["tied"]), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_whole_are_refused(halves: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for name in ("timm", "clip", "tied"):
        (tmp_path / name).mkdir()
        for file in halves[name].iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
        state = load_file(tmp_path / name / "model.safetensors")
        gone = next(key for key in state if key == "conv_stem.weight" or ("layers.0" in key and "text" not in key))
        del state[gone]
        save_file(state, tmp_path / name / "model.safetensors", {"format": "pt"})
        vision, lm = (halves["timm"], tmp_path / name) if name == "tied" else (tmp_path / name, halves["tied"])
        with pytest.raises(InputError, match=r"lack|cannot load the weights"):
            assemble(str(vision), str(lm), tmp_path / "out")


@pytest.mark.parametrize(
    ("vision", "lm", "settings", "kind", "message"),
    [
        ("/nowhere/clip", "llama", {}, InputError, "does not exist; give the folder of a vision tower"),
        ("clip", "./nowhere", {}, InputError, "does not exist; give the folder of a causal language model"),
        ("clip", "bert", {}, ConfigError, "is a bert, no causal language model"),
        ("clip", "clip", {}, ConfigError, "is a clip, no causal language model"),
        ("llama", "llama", {}, ConfigError, "is a llama and no tower that can serve"),
        ("timm/resnet51", "llama", {}, InputError, "timm has no resnet51 .did you mean 'resnet5"),
        ("timm", "llama", {"grid": 12}, ConfigError, "no grid of 12 x 12 tokens; use a side of 1, 2, 3, 4, 5"),
        ("clip", "llama", {"grid": 2}, ConfigError, "has a grid of its own"),
        ("empty", "llama", {}, InputError, "holds no config.json"),
        ("torn", "llama", {}, InputError, "not readable JSON"),
        ("embedded", "llama", {}, ConfigError, "no embedded weights were given"),
    ],
)
def test_halves_that_cannot_serve_are_told_in_a_line(
    vision: str,
    lm: str,
    settings: dict[str, Any],
    kind: type[Exception],
    message: str,
    halves: dict[str, Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.json").write_text("{")
    places = {name: str(folder) for name, folder in halves.items()} | {n: str(tmp_path / n) for n in ("empty", "torn")}
    with pytest.raises(kind, match=message) as error:
        assemble(places.get(vision, vision), places.get(lm, lm), tmp_path / "out", AssembleSettings(**settings))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_hub_that_is_silent_is_told_in_a_line(
    halves: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.model.places.silence", lambda name: "no network")
    for vision, lm, what in (
        ("nobody/clip", halves["tied"], "the tower"),
        (halves["clip"], "nobody/lm", "the language model"),
    ):
        with pytest.raises(InputError, match=f"cannot read {what} nobody/.*the hub does not give it.*give its folder"):
            assemble(str(vision), str(lm), tmp_path / "out")


def test_a_folder_that_holds_something_is_left_alone(halves: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds something; give another folder"):
        assemble(str(halves["clip"]), str(halves["llama"]), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_a_language_model_that_does_more_than_llava_says_is_refused(tmp_path: Path, halves: dict[str, Path]) -> None:
    from transformers import CohereConfig, CohereForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 600}
    torch.manual_seed(0)
    CohereForCausalLM(CohereConfig(**sizes, pad_token_id=0, logit_scale=0.5)).save_pretrained(tmp_path / "cohere")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "cohere" / name).write_bytes((halves["tied"] / name).read_bytes())
    with pytest.raises(ConfigError, match="does not compute the same inside a LLaVA layout"):
        assemble(str(halves["clip"]), str(tmp_path / "cohere"), tmp_path / "out")


def test_the_embedded_tower_serves_a_small_language_model(halves: dict[str, Path], tmp_path: Path) -> None:
    facts = assemble("embedded", str(halves["tied"]), tmp_path / "out", AssembleSettings(grid=4), Wheels())
    assert (facts.vision, facts.image_tokens, facts.image_size, facts.parameters["vision"]) == ("embedded", 16, 224, 3_371_008)
    one = loaded(tmp_path / "out")
    model = prepare(one.model, parts_of(one.model), config(stage="align"))
    losses = trained(model, one.batch(), 20)
    assert losses[-1] < losses[0]


@pytest.mark.samples
def test_the_embedded_model_speaks(tmp_path: Path) -> None:
    """Both real halves: SmolLM2 keeps its wits inside the layout, and picture tokens do not take them."""
    try:
        assemble("embedded", "embedded", tmp_path / "out", AssembleSettings(dtype="bfloat16"), Wheels())
    except MissingToolError as missing:
        pytest.skip(str(missing))
    one = loaded(tmp_path / "out")
    asked = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    text = one.processor.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    ids = one.processor.tokenizer(text, return_tensors="pt")["input_ids"]
    answer = one.model.generate(input_ids=ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    assert "Paris" in one.processor.tokenizer.decode(answer)
    pixels = one.processor.image_processor([picture(seed) for seed in range(4)], return_tensors="pt")["pixel_values"]
    assert 0.5 < token_scale(one.model, pixels) < 2


def test_the_processor_of_a_joined_model_loads_without_a_word(joined: dict[str, Path]) -> None:
    """In a process that has not heard of our towers, as a worker of the trainer is one."""
    script = "import sys; from train.data.rendering.loading import load_processor; load_processor(sys.argv[1])"
    told = subprocess.run([sys.executable, "-c", script, str(joined["timm"])], capture_output=True, text=True, check=True)
    assert told.stdout + told.stderr == ""
