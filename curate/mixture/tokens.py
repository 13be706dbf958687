"""How many tokens of an episode are supervised and how many its pictures take: an interface and an estimate.

The exact counts need a model's processor, which this library does not know; pipelines inject a counter that
renders each episode as the trainer will. Without one the plan is made by an estimate and says so.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class BadRecord(Exception):
    """A sample that cannot stand in a plan; `reason` is a short stable word."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class Tokens(NamedTuple):
    """What an episode costs."""

    supervised: int
    image: int


class TokenCounter(Protocol):
    """Counts the tokens of an episode; pickles into worker processes."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def digest(self) -> str:
        """Hash of all that the counts depend on."""

    def count(self, record: Mapping[str, Any]) -> Tokens:
        """Tokens of an episode (record: KEY.json, its shape checked); BadRecord when it cannot be used."""


BYTES_PER_TOKEN = 4
"""UTF-8 bytes of a token, as byte-pair vocabularies have it for English."""

PATCH = 28
"""Pixels of the side of a picture's part that becomes one token, as Qwen2-VL has it (14-pixel patches, merged 2 x 2)."""

MOST_IMAGE_TOKENS = 1280
"""Tokens of a picture at most; models scale larger pictures down."""


class Estimate:
    """A token for four bytes of an answer and one that ends it; one for 28 x 28 pixels of a picture."""

    name, digest = "estimate", "estimate-1"

    def count(self, record: Mapping[str, Any]) -> Tokens:
        """All answers are supervised, those of the demonstrations too."""
        turns = [*record["demonstrations"], record["query"]]
        answers = sum(-(-len(turn["answer"].encode("utf-8", "replace")) // BYTES_PER_TOKEN) + 1 for turn in turns)
        return Tokens(answers, sum(_image_tokens(image) for turn in turns for image in turn["images"]))


def _image_tokens(image: Mapping[str, Any]) -> int:
    columns, rows = (-(-max(1, image[side]) // PATCH) for side in ("width", "height"))
    return int(min(columns * rows, MOST_IMAGE_TOKENS))
