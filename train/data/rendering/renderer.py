"""One episode at a time through the model's processor: text, tokens, budget and the weights of the loss."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from curate.storage import hash_json
from train.data.records import BadSample, Rendered
from train.data.rendering.budget import dropping_order, fitted
from train.data.rendering.conversation import Words
from train.data.rendering.encoder import Encoder, engine_of
from train.data.rendering.loading import load_processor
from train.data.rendering.pictures import Ids
from train.data.rendering.sequence import laid
from train.data.rendering.settings import RenderSettings
from train.data.rendering.template import chat_template
from train.data.rendering.turns import Size, Turn, read_turns

if TYPE_CHECKING:
    from transformers import ProcessorMixin

VERSION = 1
"""Raised when the same record and settings come to give other tokens."""


class Renderer:
    """Records to tokens. Pickles; what it found out about templates and picture sizes stays in its process."""

    def __init__(self, processor: "ProcessorMixin", settings: RenderSettings | None = None) -> None:
        """ConfigError when the processor lacks something that rendering needs."""
        self.processor, self.settings = processor, settings or RenderSettings()
        self._encoder = Encoder(processor, self.settings.mode)

    @classmethod
    def load(cls, place: str | os.PathLike[str], settings: RenderSettings | None = None) -> "Renderer":
        """With the processor in a folder or of a model on the hub; InputError when there is none."""
        return cls(load_processor(place), settings)

    @property
    def neutralised(self) -> int:
        """Control tokens inside texts that were broken so far."""
        return self._encoder.neutral.count

    @cached_property
    def digest(self) -> str:
        """Content hash of all that decides about tokens: tokenizer, template, processor and settings."""
        configuration = json.loads(self.processor.to_json_string())
        known = {name: value for name, value in configuration.items() if "path" not in name and "version" not in name}
        settings = self.settings.model_dump(mode="json")
        return hash_json([VERSION, engine_of(self.processor).to_str(), chat_template(self.processor), known, settings])

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
        return self._encoder.pictures.of(size)

    @property
    def placeholder(self) -> int:
        """The token that the model puts picture features in place of."""
        return self._encoder.pictures.placeholder_id

    def _cleaned(self, turn: Turn) -> Turn:
        """The turn without control tokens; a question of nothing but blanks is none."""
        question, answer = self._encoder.neutral(turn.question), self._encoder.neutral(turn.answer)
        return Turn(question if question.strip() else "", answer, turn.sizes, turn.places, turn.similarity)

    def _attempt(self, turns: Sequence[Turn], kept: tuple[int, ...]) -> Rendered | None:
        """The query with the demonstrations `kept`; None when that is over the budget."""
        chosen = [*(turns[place] for place in kept), turns[-1]]
        sizes = [size for turn in chosen for size in turn.sizes]
        if self.settings.max_images is not None and len(sizes) > self.settings.max_images:
            return None
        pictures = [self.picture(size) for size in sizes]
        words = [Words(len(turn.sizes), turn.question, turn.answer) for turn in chosen]
        room = self.settings.max_tokens - sum(map(len, pictures))
        if self._encoder.surely_longer(words, room):
            return None
        ids, spans = self._encoder.tokens(words)
        if len(ids) - len(pictures) > room:
            return None
        places = tuple(place for turn in chosen for place in turn.places)
        return laid(ids, spans, pictures, self.placeholder, places, kept, self.settings)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.processor, self.settings)
