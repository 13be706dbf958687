"""Exact token counts for a mixture: the trainer's own rendering, injected into the catalogue."""

import os
from collections.abc import Mapping
from typing import Any

from curate.mixture.tokens import BadRecord, Tokens
from train.data.records import BadSample
from train.data.rendering import Renderer


class ProcessorCount:
    """Tokens as a model's processor makes them under the default rendering; pickles with its renderer."""

    def __init__(self, renderer: Renderer, name: str) -> None:
        self._renderer, self.name = renderer, f"processor {name}"

    @classmethod
    def load(cls, place: str, name: str) -> "ProcessorCount":
        """With the processor in a folder or of a hub's model; tables call it by the last part of `name`."""
        return cls(Renderer.load(place), os.path.basename(name.rstrip("/")))

    @property
    def digest(self) -> str:
        """The renderer's: tokenizer, template, processor and settings."""
        return self._renderer.digest

    def count(self, record: Mapping[str, Any]) -> Tokens:
        """BadRecord with the renderer's reason, such as too_long, when the trainer could not use the episode."""
        try:
            rendered = self._renderer.render(record)
        except BadSample as error:
            raise BadRecord(error.reason, error.detail) from None
        return Tokens(int((rendered.weights > 0).sum()), rendered.image_tokens)
