"""A reader without a model: it knows the demonstrations it is shown, and nothing else."""

from collections.abc import Sequence
from typing import Any

from train.evaluate.records import Ask


class Copier:
    """Prefers the answer of the last demonstration, then what was demonstrated more often; writes the last answer."""

    name = "copier"

    def __init__(self, most: int = 1000, weights: str = "w") -> None:
        self.most, self.weights = most, weights
        self.asked: list[Ask] = []

    def facts(self) -> dict[str, Any]:
        return {"weights": self.weights}

    def likelihoods(self, asks: Sequence[Ask]) -> list[list[float]]:
        self.asked += asks
        return [[self._score(ask, choice) for choice in ask.choices] if self._fits(ask) else [] for ask in asks]

    def generate(self, asks: Sequence[Ask], max_new_tokens: int = 32) -> list[str | None]:
        self.asked += asks
        return [(ask.demonstrations[-1].answer if ask.demonstrations else "") if self._fits(ask) else None for ask in asks]

    def _fits(self, ask: Ask) -> bool:
        return len(ask.demonstrations) <= self.most

    def _score(self, ask: Ask, choice: str) -> float:
        told = [turn.answer for turn in ask.demonstrations]
        return -2.0 + 0.1 * told.count(choice) + (1.0 if told[-1:] == [choice] else 0.0)
