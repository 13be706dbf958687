"""Further families of processors: tiles, grids and rows of tokens come out as the processor makes them, or are refused."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from curate.errors import ConfigError
from tests.train.tiny_episodes import tiny_episode, tiny_record
from tests.train.tiny_processors import QWEN, tiny_tokenizer
from train.data.rendering import Renderer, RenderSettings
from train.data.rendering.settings import Mode

from .test_rendering import MODES, truth

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, ProcessorMixin

TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {% for p in m.content %}{% if p.type == 'image' %}IMAGE\n{% else %}{{ p.text }}"
    "{% endif %}{% endfor %}</s>\n{% endfor %}"
)
GRID = [[32, 64], [64, 32], [64, 64]]


def tokenizer(*special: str, **names: str) -> "PreTrainedTokenizerFast":
    """With further tokens under names, as some families' tokenizers have them."""
    made = tiny_tokenizer([*special, *names.values()], bos="<s>")
    for name, token in names.items():
        setattr(made, name, token)
        setattr(made, f"{name}_id", made.convert_tokens_to_ids(token))
    return made


def llava_next() -> "ProcessorMixin":
    from transformers import LlavaNextImageProcessor, LlavaNextProcessor

    pictures = LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=GRID
    )
    return LlavaNextProcessor(pictures, tokenizer("<image>"), patch_size=8, vision_feature_select_strategy="default",
                              num_additional_image_tokens=1, chat_template=TEMPLATE.replace("IMAGE", "<image>"))  # fmt: skip


def llava_onevision() -> "ProcessorMixin":
    from transformers import LlavaOnevisionImageProcessor, LlavaOnevisionProcessor, LlavaOnevisionVideoProcessor

    pictures = LlavaOnevisionImageProcessor(size={"height": 32, "width": 32}, image_grid_pinpoints=GRID)
    words, films = tokenizer("<image>", "<video>"), LlavaOnevisionVideoProcessor()
    return LlavaOnevisionProcessor(pictures, words, films, num_image_tokens=16, vision_feature_select_strategy="full",
                                   chat_template=TEMPLATE.replace("IMAGE", "<image>"))  # fmt: skip


def pixtral() -> "ProcessorMixin":
    from transformers import PixtralImageProcessor, PixtralProcessor

    pictures = PixtralImageProcessor(size={"longest_edge": 64}, patch_size={"height": 8, "width": 8})
    words = tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    return PixtralProcessor(pictures, words, patch_size=8, chat_template=TEMPLATE.replace("IMAGE", "[IMG]"))


def internvl() -> "ProcessorMixin":
    from transformers import GotOcr2ImageProcessor, InternVLProcessor, InternVLVideoProcessor

    words = tokenizer(
        start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<vid>"
    )
    pictures = GotOcr2ImageProcessor(size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=4)
    template = TEMPLATE.replace("IMAGE", "<IMG_CONTEXT>")
    return InternVLProcessor(pictures, words, InternVLVideoProcessor(), image_seq_length=4, chat_template=template)


def qwen25() -> "ProcessorMixin":
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    special = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    sizes = {"patch_size": 8, "merge_size": 2, "min_pixels": 16 * 16 * 2, "max_pixels": 16 * 16 * 20}
    words = tiny_tokenizer(special, eos="<|endoftext|>")
    return Qwen2_5_VLProcessor(Qwen2VLImageProcessor(**sizes), words, Qwen2VLVideoProcessor(**sizes), chat_template=QWEN)


def paligemma() -> "ProcessorMixin":
    from transformers import PaliGemmaProcessor, SiglipImageProcessor

    pictures = SiglipImageProcessor(size={"height": 32, "width": 32})
    pictures.image_seq_length = 4
    return PaliGemmaProcessor(pictures, tokenizer("<image>"), chat_template=TEMPLATE.replace("IMAGE", "<image>"))


@pytest.mark.parametrize("make", [llava_next, llava_onevision, pixtral, internvl, qwen25])
@pytest.mark.parametrize("mode", MODES)
def test_tokens_are_the_processors_own(make: "Callable[[], ProcessorMixin]", mode: Mode) -> None:
    processor = make()
    renderer = Renderer(processor, RenderSettings(mode=mode, max_tokens=10**6))
    for seed, (shots, images) in enumerate([(0, 1), (1, 1), (2, 2), (3, 0), (4, 1)]):
        episode, pictures = tiny_episode(seed, shots, images)
        record = tiny_record(episode)
        assert renderer.render(record).input_ids.tolist() == truth(processor, mode, record, pictures)


def gemma3() -> "ProcessorMixin":
    from transformers import Gemma3ImageProcessor, Gemma3Processor

    words = tokenizer(boi_token="<boi>", eoi_token="<eoi>", image_token="<img>")
    pictures = Gemma3ImageProcessor(size={"height": 32, "width": 32})
    return Gemma3Processor(pictures, words, image_seq_length=4, chat_template=TEMPLATE.replace("IMAGE", "<boi>"))


@pytest.mark.parametrize("make", [paligemma, gemma3])
def test_a_family_that_writes_around_pictures_in_a_way_of_its_own_is_refused(make: "Callable[[], ProcessorMixin]") -> None:
    with pytest.raises(ConfigError, match="not supported"):
        Renderer(make()).render(tiny_record(tiny_episode(1, 1)[0]))
