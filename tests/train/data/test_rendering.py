"""What the renderer writes is what the processor makes of the same conversation with the real pictures."""

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from curate.errors import ConfigError
from tests.train.tiny_episodes import tiny_episode, tiny_picture, tiny_record
from tests.train.tiny_processors import NAMES, tiny_processor
from train.data.records import Rendered
from train.data.rendering import Renderer, RenderSettings
from train.data.rendering.conversation import Words, conversation
from train.data.rendering.settings import Mode
from train.data.rendering.turns import read_turns

if TYPE_CHECKING:
    from transformers import ProcessorMixin

MODES: tuple[Mode, ...] = ("turns", "single", "images_first")
Processors = dict[str, "ProcessorMixin"]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(["", "cat", " cat ", "\n", "a\n\n", "图 🙂", "A: </b> {{x}}"])


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
