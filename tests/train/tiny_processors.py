"""Real processors of a small size, built without a hub: a BPE tokenizer trained on a page, real image processors."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, ProcessorMixin

PAGE = """
A picture shows a red car in front of a house. What is this called? It is called a bovine, a bird, or a tabby cat.
Question: Which group of pictures does this one belong to? Answer: houses. Options: A: vehicles; B: houses; C: birds.
Which one is right for this picture? Reply with its letter. Describe the picture in a sentence. You are a helpful assistant.
USER: user ASSISTANT: assistant system Image 1: Images 2, 3: The quick brown fox jumps over the lazy dog; 0123456789.
"""

VICUNA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""As LLaVA-1.5 has it: pictures before the texts of a turn; here with an end token behind an answer."""

LLAMA = VICUNA.replace("{{ eos_token }}", "")
"""LLaVA-1.5's own habit: nothing ends an answer."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML that trims texts, as several models' templates do."""

QWEN = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

IDEFICS = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<image>' }}{% endif %}"
    "{% endfor %}{{ '<end_of_utterance>\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

NAMES = ("vicuna", "llama", "chatml", "qwen", "idefics")


def tiny_tokenizer(special: list[str], bos: str = "", eos: str = "</s>") -> "PreTrainedTokenizerFast":
    """A byte-level BPE of 400 tokens; with `bos`, it writes that token in front as Llama's does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    words = [token for token in (bos, eos, "<pad>") if token]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=words, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator([PAGE], trainer)
    bpe.add_special_tokens(special)
    if bos:
        bpe.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, bpe.token_to_id(bos))])
    names = {"eos_token": eos, "pad_token": "<pad>"} | ({"bos_token": bos} if bos else {})
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **names)


def llama_tokenizer(special: list[str]) -> "PreTrainedTokenizerFast":
    """As Llama 2's: a normaliser puts a blank before every stretch of text, tokens span words, unknown
    characters become bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    words = ["<unk>", "<s>", "</s>", "<pad>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=words, max_token_length=6, show_progress=False)
    bpe.train_from_iterator([PAGE], trainer)
    saved = json.loads(bpe.to_str())  # the trainer made control tokens of bytes, which they are not
    saved["added_tokens"] = [token for token in saved["added_tokens"] if not token["content"].startswith("<0x")]
    bpe = Tokenizer.from_str(json.dumps(saved))
    bpe.add_special_tokens(special)
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bpe.token_to_id("<s>"))])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **names)


def tiny_processor(name: str) -> "ProcessorMixin":
    """vicuna, llama and chatml: Llava, 16 tokens a picture; qwen: as many as its size asks for; idefics: in tiles.
    next and onevision: LLaVA-NeXT's and LLaVA-OneVision's own tiles; qwen25 and smolvlm are as qwen and idefics."""
    makers = {"vicuna": _vicuna, "llama": _llama, "chatml": _chatml, "qwen": _qwen, "idefics": _idefics}
    makers |= {"next": _next, "onevision": _onevision, "qwen25": _qwen, "smolvlm": _idefics}
    return makers[name]()


def _llava(tokenizer: "PreTrainedTokenizerFast", template: str) -> "ProcessorMixin":
    from transformers import CLIPImageProcessor, LlavaProcessor

    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )


def _vicuna() -> "ProcessorMixin":
    return _llava(tiny_tokenizer(["<image>"], bos="<s>"), VICUNA)


def _llama() -> "ProcessorMixin":
    return _llava(llama_tokenizer(["<image>"]), LLAMA)


def _chatml() -> "ProcessorMixin":
    return _llava(tiny_tokenizer(["<|im_start|>", "<|im_end|>", "<image>"]), CHATML)


def _qwen() -> "ProcessorMixin":
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    special = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    sizes = {"patch_size": 8, "merge_size": 2, "min_pixels": 16 * 16 * 2, "max_pixels": 16 * 16 * 20}
    tokenizer = tiny_tokenizer(special, eos="<|endoftext|>")
    pictures, films = Qwen2VLImageProcessor(**sizes), Qwen2VLVideoProcessor(**sizes)
    return Qwen2VLProcessor(image_processor=pictures, tokenizer=tokenizer, video_processor=films, chat_template=QWEN)


def _idefics() -> "ProcessorMixin":
    from transformers import Idefics3ImageProcessor, Idefics3Processor

    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer = tiny_tokenizer(
        ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *tiles], bos="<s>"
    )
    pictures = Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    return Idefics3Processor(image_processor=pictures, tokenizer=tokenizer, image_seq_len=4, chat_template=IDEFICS)


def _next() -> "ProcessorMixin":
    from transformers import LlavaNextImageProcessor, LlavaNextProcessor

    side = {"height": 32, "width": 32}
    pictures = LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size=side, image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]]
    )
    return LlavaNextProcessor(
        image_processor=pictures,
        tokenizer=tiny_tokenizer(["<image>"], bos="<s>"),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA,
    )


def _onevision() -> "ProcessorMixin":
    from transformers import LlavaOnevisionImageProcessor, LlavaOnevisionProcessor, LlavaOnevisionVideoProcessor

    side = {"height": 32, "width": 32}
    return LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=side, image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]]),
        tokenizer=tiny_tokenizer(["<|im_start|>", "<|im_end|>", "<image>", "<video>"]),
        video_processor=LlavaOnevisionVideoProcessor(size=side),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=CHATML,
    )
