"""Conversations to token ids, with one placeholder for each picture, and where the answers lie in them."""

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from curate.errors import ConfigError
from train.data.records import BadSample
from train.data.rendering.conversation import Words
from train.data.rendering.neutral import Neutral, control_tokens
from train.data.rendering.pictures import Ids, Pictures, blank
from train.data.rendering.sequence import expanded, in_tokens
from train.data.rendering.settings import Mode
from train.data.rendering.template import Shape, Skeleton, Span, Template, chat_template, shape_of
from train.data.rendering.turns import Size

if TYPE_CHECKING:
    import tokenizers
    from transformers import ProcessorMixin

SHAPES = 4096
"""Shapes of conversations that are remembered."""

CHECKED, CHECKED_PICTURES = 8, 16
"""So many shapes, of at most so many pictures, are compared with a call of the processor itself."""


def engine_of(processor: "ProcessorMixin") -> "tokenizers.Tokenizer":
    """The engine of the processor's tokenizer; ConfigError when it is written in Python."""
    engine: tokenizers.Tokenizer | None = getattr(processor.tokenizer, "backend_tokenizer", None)
    if engine is None:
        raise ConfigError("the model's tokenizer is a slow one; rendering needs a tokenizer.json in the model's folder")
    return engine


class Encoder:
    """One processor in one mode."""

    def __init__(self, processor: "ProcessorMixin", mode: Mode) -> None:
        """ConfigError when the processor has no template, no image token or a slow tokenizer."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # threads of its own would deadlock forked workers
        controls = control_tokens(processor, chat_template(processor))
        self.neutral, self.pictures = Neutral(controls), Pictures(processor, controls.values())
        self._processor, self._engine = processor, engine_of(processor)
        self._template = Template(processor, mode, controls)
        self._bos = getattr(processor.tokenizer, "bos_token", None)
        self._skeletons: dict[Shape, tuple[Skeleton, int]] = {}
        self._checked = 0
        unknown = getattr(processor.tokenizer, "unk_token", None)  # any text may bring this one about
        self._is_control = np.zeros(max([len(processor.tokenizer), *controls.values()]) + 1, np.bool_)
        self._is_control[[number for token, number in controls.items() if token != unknown]] = True

    @cached_property
    def _tokenizer(self) -> "tokenizers.Tokenizer":
        """A copy of the engine that neither cuts nor pads."""
        from tokenizers import Tokenizer

        copy = Tokenizer.from_str(self._engine.to_str())
        copy.no_truncation()
        copy.no_padding()
        return copy

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._tokenizer.get_vocab())) + 1

    def surely_longer(self, words: Sequence[Words], tokens: int) -> bool:
        """Whether texts have more characters than that many tokens could hold, so that they need not be tokenised."""
        return sum(len(turn.question) + len(turn.answer) for turn in words) > self._longest * tokens

    def tokens(self, words: Sequence[Words]) -> tuple[Ids, list[Span]]:
        """[T] ids, and the answers' spans in them. BadSample `control_token` when a text became one after all."""
        skeleton, controls = self._skeleton(shape_of(words))
        ids, spans = self._encoded(skeleton, words)
        if self._count(ids) != controls:
            raise BadSample("control_token", "a text turns into a control token of the model")
        return ids, spans

    def _encoded(self, skeleton: Skeleton, words: Sequence[Words]) -> tuple[Ids, list[Span]]:
        text, spans = skeleton.fill(words)
        encoding = self._tokenizer.encode(text, add_special_tokens=self._adds_special(text))
        return np.array(encoding.ids, np.int64), in_tokens(spans, encoding.offsets, len(text))

    def _adds_special(self, text: str) -> bool:
        """As apply_chat_template does it: not where the template has already written the first token."""
        return not (self._bos and text.startswith(self._bos))

    def _count(self, ids: Ids) -> int:
        return int(np.count_nonzero(self._is_control[ids]))

    def _skeleton(self, shape: Shape) -> tuple[Skeleton, int]:
        """The skeleton of a shape, and how many control tokens it has."""
        known = self._skeletons.get(shape)
        if known is None:
            if len(self._skeletons) >= SHAPES:
                self._skeletons.clear()
            skeleton = self._template.skeleton(shape, lambda text: self.neutral.broken(text)[0])
            words = [Words(images, "What" if asked else "", "It") for images, asked in shape]
            ids, _ = self._encoded(skeleton, words)
            self._check(skeleton, words, ids)
            known = self._skeletons[shape] = skeleton, self._count(ids)
        return known

    def _check(self, skeleton: Skeleton, words: Sequence[Words], ids: Ids) -> None:
        """ConfigError when the processor itself makes other tokens of a shape than we would."""
        sizes: list[Size] = [(64, 64) if at % 2 else (96, 48) for at in range(sum(turn.images for turn in words))]
        if self._checked >= CHECKED or not 0 < len(sizes) <= CHECKED_PICTURES:
            return
        self._checked += 1
        ours, _ = expanded(ids, [self.pictures.of(size) for size in sizes], self.pictures.placeholder_id)
        if not np.array_equal(ours, self._called(skeleton.fill(words)[0], sizes)):
            raise ConfigError("the processor makes other tokens of a picture inside a text than of one alone; not supported")

    def _called(self, text: str, sizes: Sequence[Size]) -> Ids:
        pictures = [blank(size) for size in sizes]
        try:
            made = self._processor(text=[text], images=pictures, add_special_tokens=self._adds_special(text))
        except Exception as error:  # whatever a processor dislikes about what its own template wrote
            detail = " ".join(str(error).split())[:300]
            raise ConfigError(f"the processor does not take what its chat template writes: {detail}") from None
        return np.asarray(made["input_ids"][0], np.int64)
