"""What passes between the rooms' files: questions to a reader, and the reader itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a model is shown."""

    ref: str  # "<sha256>.<extension>", what equal pictures are told by
    data: bytes  # as stored
    width: int  # pixels as displayed
    height: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A demonstration, or the query, whose answer is not told."""

    pictures: tuple[Picture, ...]
    question: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question with its demonstrations in order."""

    id: str
    demonstrations: tuple[Turn, ...]
    query: Turn
    choices: tuple[str, ...] = ()  # what a likelihood is wanted of; () where the model shall write


class Reader(Protocol):
    """A model that can be asked. Answers do not depend on what else is asked in the same call, nor on the batch size."""

    name: str

    def facts(self) -> dict[str, Any]:
        """What tells this reader from another: content hash of weights and settings, dtype, parameters. JSON."""

    def likelihoods(self, asks: Sequence[Ask]) -> list[list[float]]:
        """Log-probability of every choice of every question, summed over the choice's tokens (natural logarithm), without
        the template's end of turn. The list of an ask that does not
        fit is empty."""

    def generate(self, asks: Sequence[Ask], max_new_tokens: int = 32) -> list[str | None]:
        """What the model writes, greedily, up to the end of its turn; None for an ask that does not fit."""
