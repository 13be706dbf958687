"""What is what in a vision-language model: tower, projector, language model, embeddings, head, and the blocks to wrap."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAMES = ("vision", "projector", "language", "embeddings", "head")


@dataclass(frozen=True)
class Parts:
    """Dotted names in a model, of modules or, rarely, of single parameters. The longest name that leads to a parameter says
    its part: a projector inside the tower is the projector, embeddings inside the decoder are embeddings."""

    vision: tuple[str, ...]
    projector: tuple[str, ...]
    language: tuple[str, ...]
    embeddings: tuple[str, ...]
    head: tuple[str, ...]
    blocks: tuple[str, ...]
    """Repeated blocks of tower and language model in the order of the model, none inside another."""

    def part_of(self, parameter: str) -> str:
        """vision, projector, language, embeddings or head."""
        raise NotImplementedError


def parts_of(model: "PreTrainedModel") -> Parts:
    """The parts of a model of any AutoModelForImageTextToText class, as it was loaded (before adapters or wrappers).

    ConfigError naming the class when they cannot be told apart.
    """
    raise NotImplementedError
