"""One episode at a time through the model's processor: text, tokens, budget and the weights of the loss."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.errors import ConfigError
from curate.storage import hash_json
from train.data.records import BadSample, Rendered
from train.data.rendering.budget import dropping_order, fitted
from train.data.rendering.conversation import Words
from train.data.rendering.loading import load_processor
from train.data.rendering.neutral import Neutral, control_tokens
from train.data.rendering.pictures import Ids, Pictures, blank
from train.data.rendering.sequence import expanded, in_tokens, laid
from train.data.rendering.settings import RenderSettings
from train.data.rendering.template import Shape, Skeleton, Span, Template, chat_template, shape_of
from train.data.rendering.turns import Size, Turn, read_turns

if TYPE_CHECKING:
    import tokenizers
    from transformers import ProcessorMixin

VERSION = 1
"""Raised when the same record and settings come to give other tokens."""

SHAPES = 4096
"""Shapes of conversations that are remembered; the first CHECKED ones are compared with a true call."""
CHECKED = 8


class Renderer:
    """Records to tokens. Pickles; what it found out about templates and picture sizes stays in its process."""

    def __init__(self, processor: "ProcessorMixin", settings: RenderSettings | None = None) -> None:
        """ConfigError when the processor lacks something that rendering needs."""
        self.processor, self.settings = processor, settings or RenderSettings()
        self._prepare()

    @classmethod
    def load(cls, place: str | os.PathLike[str], settings: RenderSettings | None = None) -> "Renderer":
        """With the processor in a folder or of a model on the hub; InputError when there is none."""
        return cls(load_processor(place), settings)

    def _prepare(self) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # threads of its own would deadlock forked workers
        template = chat_template(self.processor)
        controls = control_tokens(self.processor, template)
        self._neutral = Neutral(controls)
        self._template = Template(self.processor, self.settings.mode, controls)
        self._pictures = Pictures(self.processor)
        self._skeletons: dict[Shape, tuple[Skeleton, int]] = {}
        self._checked = 0
        unknown = getattr(self.processor.tokenizer, "unk_token", None)  # any text may bring this one about
        self._is_control = np.zeros(max(max(controls.values(), default=0), len(self.processor.tokenizer)) + 1, np.bool_)
        self._is_control[[number for token, number in controls.items() if token != unknown]] = True

    @property
    def neutralised(self) -> int:
        """Control tokens inside texts that were broken so far."""
        return self._neutral.count

    @cached_property
    def digest(self) -> str:
        """Content hash of all that decides about tokens: tokenizer, template, processor and settings."""
        configuration = json.loads(self.processor.to_json_string())
        known = {name: value for name, value in configuration.items() if "path" not in name and "version" not in name}
        settings = self.settings.model_dump(mode="json")
        tokenizer = self.processor.tokenizer.backend_tokenizer.to_str()
        return hash_json([VERSION, tokenizer, chat_template(self.processor), known, settings])

    @cached_property
    def _tokenizer(self) -> "tokenizers.Tokenizer":
        """The tokenizer's engine, as a copy that neither cuts nor pads."""
        from tokenizers import Tokenizer

        engine = getattr(self.processor.tokenizer, "backend_tokenizer", None)
        if engine is None:
            raise ConfigError("the model's tokenizer is a slow one; rendering needs a tokenizer.json in the model's folder")
        copy = Tokenizer.from_str(engine.to_str())
        copy.no_truncation()
        copy.no_padding()
        return copy

    def render(self, record: Mapping[str, Any]) -> Rendered:
        """An episode as tokens (record: KEY.json). BadSample when its query alone is too long (`too_long`,
        `too_many_images`), or the record is none."""
        turns = [self._cleaned(turn) for turn in read_turns(record)]
        order = dropping_order(turns[:-1], self.settings, str(record.get("id", "")))
        rendered = fitted(order, lambda kept: self._attempt(turns, kept))
        if rendered is None:
            few = self.settings.max_images is None or len(turns[-1].sizes) <= self.settings.max_images
            raise BadSample("too_long" if few else "too_many_images", "the query alone is over the budget")
        return rendered

    def picture(self, size: Size) -> Ids:
        """[tokens] that stand for a picture of (width, height)."""
        return self._pictures.of(size)

    @property
    def placeholder(self) -> int:
        """The token that the model puts picture features in place of."""
        return self._pictures.placeholder_id

    def _cleaned(self, turn: Turn) -> Turn:
        question = self._neutral(turn.question)
        question = question if question.strip() else ""
        return Turn(question, self._neutral(turn.answer), turn.sizes, turn.places, turn.similarity)

    def _attempt(self, turns: Sequence[Turn], kept: tuple[int, ...]) -> Rendered | None:
        """The query with the demonstrations `kept`; None when that is over the budget."""
        chosen = [*(turns[place] for place in kept), turns[-1]]
        sizes = [size for turn in chosen for size in turn.sizes]
        if self.settings.max_images is not None and len(sizes) > self.settings.max_images:
            return None
        pictures = [self._pictures.of(size) for size in sizes]
        image_tokens = sum(map(len, pictures))
        words = [Words(len(turn.sizes), turn.question, turn.answer) for turn in chosen]
        if image_tokens > self.settings.max_tokens or self._surely_longer(words, self.settings.max_tokens - image_tokens):
            return None
        ids, spans = self._tokens(words)
        if len(ids) - len(pictures) + image_tokens > self.settings.max_tokens:
            return None
        places = tuple(place for turn in chosen for place in turn.places)
        return laid(ids, spans, pictures, self._pictures.placeholder_id, places, kept, self.settings)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._tokenizer.get_vocab())) + 1

    def _surely_longer(self, words: Sequence[Words], tokens: int) -> bool:
        """Whether texts have more characters than that many tokens could hold, so that they need not be tokenised."""
        return sum(len(turn.question) + len(turn.answer) for turn in words) > self._longest * tokens

    def _tokens(self, words: Sequence[Words]) -> tuple[Ids, list[Span]]:
        """[T] ids with one placeholder a picture, and the answers' spans in them."""
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
        bos = getattr(self.processor.tokenizer, "bos_token", None)
        return not (bos and text.startswith(bos))

    def _count(self, ids: Ids) -> int:
        return int(np.count_nonzero(self._is_control[ids]))

    def _skeleton(self, shape: Shape) -> tuple[Skeleton, int]:
        """The skeleton of a shape, and how many control tokens it has."""
        known = self._skeletons.get(shape)
        if known is None:
            if not self._skeletons:
                self._pictures.check()
            if len(self._skeletons) >= SHAPES:
                self._skeletons.clear()
            skeleton = self._template.skeleton(shape, self._neutral)
            words = [Words(images, "What" if asked else "", "It") for images, asked in shape]
            ids, _ = self._encoded(skeleton, words)
            self._check(skeleton, words, ids)
            known = self._skeletons[shape] = skeleton, self._count(ids)
        return known

    def _check(self, skeleton: Skeleton, words: Sequence[Words], ids: Ids) -> None:
        """ConfigError when the processor itself makes other tokens of a shape than we would."""
        sizes: list[Size] = [(64, 64) if at % 2 else (96, 48) for at in range(sum(turn.images for turn in words))]
        if self._checked >= CHECKED or not sizes or len(sizes) > 16:
            return
        self._checked += 1
        text, _ = skeleton.fill(words)
        pictures = [blank(size) for size in sizes]
        made = self.processor(text=[text], images=pictures, add_special_tokens=self._adds_special(text))
        ours, _ = expanded(ids, [self._pictures.of(size) for size in sizes], self._pictures.placeholder_id)
        if not np.array_equal(ours, np.asarray(made["input_ids"][0])):
            raise ConfigError("the processor makes other tokens of a picture inside a text than of one alone; not supported")

    def __getstate__(self) -> dict[str, Any]:
        return {"processor": self.processor, "settings": self.settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.processor, self.settings = state["processor"], state["settings"]
        self._prepare()
