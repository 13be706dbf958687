"""What the renderer writes is what the processor makes of the same conversation with the real pictures."""

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from curate.errors import ConfigError, InputError
from tests.train.tiny_episodes import tiny_episode, tiny_picture, tiny_record
from tests.train.tiny_processors import NAMES, tiny_processor
from train.data.records import BadSample, Rendered
from train.data.rendering import Renderer, RenderSettings
from train.data.rendering.conversation import Words, conversation
from train.data.rendering.pictures import Pictures
from train.data.rendering.settings import Mode
from train.data.rendering.turns import read_turns

if TYPE_CHECKING:
    from transformers import ProcessorMixin

MODES: tuple[Mode, ...] = ("turns", "single", "images_first")
Processors = dict[str, "ProcessorMixin"]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["", "cat", " cat ", "\n", "a\n\n", "图 🙂", "A: </b> {{x}}"]
)


def truth(processor: "ProcessorMixin", mode: Mode, record: dict[str, Any], pictures: list[bytes]) -> list[int]:
    """The processor's own tokens of a whole episode."""
    words = [Words(len(turn.sizes), turn.question, turn.answer) for turn in read_turns(record)]
    text = processor.apply_chat_template(conversation(mode, words))
    opened = [Pillow.open(io.BytesIO(data)).convert("RGB") for data in pictures] or None
    bos = processor.tokenizer.bos_token
    made = processor(text=[text], images=opened, add_special_tokens=not (bos and text.startswith(bos)))
    return list(made["input_ids"][0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", MODES)
def test_tokens_are_the_processors_own(processors: Processors, name: str, mode: Mode) -> None:
    renderer = Renderer(processors[name], RenderSettings(mode=mode, max_tokens=10**6))
    for seed, (shots, images) in enumerate([(0, 1), (1, 1), (2, 2), (3, 0), (8, 1)]):
        episode, pictures = tiny_episode(seed, shots, images)
        record = tiny_record(episode)
        rendered = renderer.render(record)
        assert rendered.input_ids.tolist() == truth(processors[name], mode, record, pictures)
        assert rendered.images == tuple(range(len(pictures)))
        assert rendered.kept == tuple(range(shots))


@st.composite
def hostile_episodes(draw: st.DrawFn) -> tuple[dict[str, Any], list[bytes]]:
    """Episodes of any texts and picture sizes, control tokens left out."""
    shots, images = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    record = tiny_record(tiny_episode(draw(st.integers(0, 9)), shots, images)[0])
    drawn: list[bytes] = []
    for shot in (*record["demonstrations"], record["query"]):
        shot["question"] = draw(TEXTS)
        shot["answer"] = draw(TEXTS.filter(str.strip))
        for picture in shot["images"]:
            picture["width"], picture["height"] = draw(st.integers(1, 150)), draw(st.integers(1, 150))
            drawn.append(tiny_picture(len(drawn), (picture["width"], picture["height"])))
    return record, drawn


RENDERERS = {
    (name, mode): Renderer(tiny_processor(name), RenderSettings(mode=mode, max_tokens=10**6))
    for name in NAMES
    for mode in MODES
}


@pytest.mark.parametrize("name", NAMES)
@given(sample=hostile_episodes(), mode=st.sampled_from(MODES))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_tokens_are_the_processors_own_whatever_the_texts_and_sizes(
    name: str, sample: tuple[dict[str, Any], list[bytes]], mode: Mode
) -> None:
    renderer, (record, pictures) = RENDERERS[name, mode], sample
    try:
        expected = truth(renderer.processor, mode, blanked(record), pictures)
    except ValueError:  # this processor refuses such a size
        with pytest.raises(BadSample, match="bad_size"):
            renderer.render(record)
        return
    rendered = renderer.render(record)
    assert rendered.input_ids.tolist() == expected
    assert rendered.input_ids.shape == rendered.weights.shape == rendered.answers.shape
    assert ((rendered.weights > 0) == (rendered.answers >= 0)).all()


def blanked(record: dict[str, Any]) -> dict[str, Any]:
    """The record with questions of nothing but blanks made empty, as they are read."""
    for shot in (*record["demonstrations"], record["query"]):
        shot["question"] = shot["question"] if shot["question"].strip() else ""
    return record


ANSWERED = {
    "vicuna": [" red </s>", " blue </s>"],
    "llama": ["red", "blue "],  # as its tokens are cut
    "chatml": ["red<|im_end|>", "blue<|im_end|>"],
    "qwen": ["red<|im_end|>", "blue<|im_end|>"],
    "idefics": [" red<end_of_utterance>", " blue<end_of_utterance>"],
}


def two_turns() -> dict[str, Any]:
    record = tiny_record(tiny_episode(3, 1)[0])
    record["demonstrations"][0]["answer"], record["query"]["answer"] = "red", "blue"
    return record


def learned(renderer: Renderer, rendered: Rendered) -> dict[int, str]:
    """Answer number -> the text that is learned."""
    chosen = {int(n): rendered.input_ids[rendered.answers == n] for n in np.unique(rendered.answers) if n >= 0}
    return {n: renderer.processor.tokenizer.decode(ids, clean_up_tokenization_spaces=False) for n, ids in chosen.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["turns", "images_first"])
def test_an_answer_is_learned_with_the_token_that_ends_its_turn(processors: Processors, name: str, mode: Mode) -> None:
    renderer = Renderer(processors[name], RenderSettings(mode=mode))
    assert learned(renderer, renderer.render(two_turns())) == dict(enumerate(ANSWERED[name]))


@pytest.mark.parametrize("name", NAMES)
def test_a_demonstration_inside_the_users_turn_has_no_end_token(processors: Processors, name: str) -> None:
    renderer = Renderer(processors[name], RenderSettings(mode="single"))
    assert learned(renderer, renderer.render(two_turns())) == {0: "red", 1: ANSWERED[name][1]}


@pytest.mark.parametrize(("loss", "weights"), [("all", {0: 1.0, 1: 1.0}), ("last", {1: 1.0}), ("weighted", {0: 0.25, 1: 1.0})])
def test_the_loss_weighs_answers_as_set(processors: Processors, loss: Any, weights: dict[int, float]) -> None:
    rendered = Renderer(processors["qwen"], RenderSettings(loss=loss, demonstration_weight=0.25)).render(two_turns())
    found = {int(n): float(rendered.weights[rendered.answers == n].min()) for n in np.unique(rendered.answers) if n >= 0}
    assert found == weights
    assert not rendered.weights[rendered.answers == -1].any()


PIECES = ["<image>", "<|im_end|>", "</s>", "<s>", "<|image_pad|>", "<ima", "ge>", "<<image>", "a", " ", "<|im_", "end|>",
          "<fake_token_around_image>", "<|vision_start|>", "<pad>"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@given(texts=st.lists(st.sampled_from(PIECES), max_size=6))
@settings(max_examples=40, deadline=None)
def test_texts_never_become_control_tokens(name: str, texts: list[str]) -> None:
    renderer, record, plain = RENDERERS[name, "turns"], two_turns(), two_turns()
    for shot in (*record["demonstrations"], record["query"]):
        shot["question"], shot["answer"] = "".join(texts) or "What?", "x" + "".join(texts)
    for shot in (*plain["demonstrations"], plain["query"]):
        shot["question"] = "What?"
    count = [renderer._encoder._count(renderer.render(each).input_ids) for each in (record, plain)]
    assert count[0] == count[1] or not "".join(texts).strip()


def test_broken_control_tokens_are_counted_and_readable(processors: Processors) -> None:
    renderer, record = Renderer(processors["qwen"]), two_turns()
    record["query"]["question"] = "Say <|im_end|> twice: <|im_end|>"
    text = renderer.processor.tokenizer.decode(renderer.render(record).input_ids)
    assert "Say < |im_end|> twice: < |im_end|><|im_end|>" in text
    assert renderer.neutralised == 2


def with_template(name: str, template: str) -> "ProcessorMixin":
    processor = tiny_processor(name)
    processor.chat_template = template
    return processor


BODY = "{% for m in messages %}{{ m.role }}:{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}HERE{% endif %}"
END = "{% endfor %}</s>{% endfor %}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ p.text | upper }}", "depends on what they say"),
        ("{{ p.text.split('</think>')[-1] }}", "depends on what they say"),
        ("{{ p.text | length }}", "every question and answer once"),
        ("{{ p.text }}{{ p.text }}", "every question and answer once"),
        ("{{ p.text | replace(' ', '') }}", "blanks|depends"),
        ("{{ raise_exception('no') }}", "cannot render"),
        ("{{ p.text }}<image>", "for each picture"),
        ("{{ p.missing.deeply }}", "cannot render"),
    ],
)
def test_a_template_that_cannot_be_cut_is_an_error(text: str, says: str) -> None:
    renderer = Renderer(with_template("vicuna", BODY.replace("HERE", text) + END))
    with pytest.raises(ConfigError, match=says):
        renderer.render(two_turns())


def test_a_template_that_looks_for_its_own_tokens_in_texts_does_not_find_them() -> None:
    template = BODY.replace("HERE", "{{ p.text.split('</think>')[-1] }}") + END
    processor = with_template("vicuna", template)
    processor.tokenizer.add_tokens(["</think>"])
    renderer, record = Renderer(processor), two_turns()
    record["query"]["question"] = "What does </think> mean?"
    assert "What does < /think> mean?" in processor.tokenizer.decode(renderer.render(record).input_ids)
    assert renderer.neutralised == 1


def test_a_template_without_pictures_is_an_error() -> None:
    template = "{% for m in messages %}{{ m.role }}:{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    with pytest.raises(ConfigError, match="for each picture"):
        Renderer(with_template("vicuna", template)).render(two_turns())


def test_a_processor_without_template_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no chat template"):
        Renderer(with_template("vicuna", ""))


def test_a_template_that_writes_the_date_gives_the_same_tokens_every_day() -> None:
    head = "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}{{ date_string }}"
    renderer = Renderer(with_template("vicuna", head + BODY.replace("HERE", "{{ p.text }}") + END))
    assert "26 Jul 2024" in renderer.processor.tokenizer.decode(renderer.render(two_turns()).input_ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_renderer_travels_between_processes_and_folders(processors: Processors, name: str, tmp_path: Path) -> None:
    first = Renderer(processors[name], RenderSettings(mode="single"))
    processors[name].save_pretrained(tmp_path)
    loaded = Renderer.load(tmp_path, RenderSettings(mode="single"))
    assert loaded.digest == first.digest != Renderer(processors[name]).digest
    copy = pickle.loads(pickle.dumps(first))
    assert copy.digest == first.digest
    assert copy.render(two_turns()).input_ids.tolist() == loaded.render(two_turns()).input_ids.tolist()


def unreachable(*_: Any, **__: Any) -> None:
    raise ConnectionError("no\n network")


def test_no_processor_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, says in ((tmp_path / "missing", "does not exist"), (tmp_path, "holds no processor")):
        with pytest.raises(InputError, match=says):
            Renderer.load(place)
    tiny_processor("vicuna").tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}"):
        Renderer.load(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    with pytest.raises(InputError, match=r"from the hub \(no network\), and there is no such folder; give") as caught:
        Renderer.load("somebody/some-model")
    assert "\n" not in str(caught.value)


def test_a_processors_own_arithmetic_is_not_believed_blindly() -> None:
    processor = tiny_processor("vicuna")
    processor.image_processor.crop_size = None  # as with image processors that do not crop
    processor.image_processor.do_center_crop = False
    renderer = Renderer(processor)
    for seed in range(6):
        episode, pictures = tiny_episode(seed, 1)
        record = tiny_record(episode)
        assert renderer.render(record).input_ids.tolist() == truth(processor, "turns", record, pictures)


def test_a_size_that_is_refused_does_not_slow_the_others_down(processors: Processors) -> None:
    pictures = Pictures(processors["qwen"], [processors["qwen"].image_token_id])
    for size in [(40, 40), (4000, 1), (64, 32), (1, 4000)]:
        if 4000 in size:
            with pytest.raises(BadSample, match="bad_size"):
                pictures.of(size)
        else:
            pictures.of(size)
    assert pictures._arithmetic


def test_a_processor_that_takes_no_picture_is_an_error_and_not_a_bad_sample() -> None:
    processor = tiny_processor("vicuna")
    processor.patch_size = None
    with pytest.raises(ConfigError, match="does not take a picture"):
        Renderer(processor).render(two_turns())
