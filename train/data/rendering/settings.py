"""How an episode becomes a sequence of tokens."""

from typing import Literal

from pydantic import Field

from curate.settings import Settings

Mode = Literal["turns", "single", "images_first"]
Loss = Literal["all", "last", "weighted"]
Drop = Literal["farthest", "nearest", "first", "last", "random"]


class RenderSettings(Settings):
    """How an episode becomes a sequence of tokens."""

    mode: Mode = "turns"
    """turns: a user turn and an answer for each demonstration and the query. single: all demonstrations and the
    query in one user turn. images_first: as turns, all pictures in front, and questions name them Image 1, 2, ..."""

    loss: Loss = "all"
    """Which answers are learned: all, last (the query's alone), or weighted (all, demonstrations by a weight)."""

    demonstration_weight: float = Field(default=0.5, ge=0, le=1)
    """Under `weighted`, the weight of a demonstration's answer beside the query's 1."""

    max_tokens: int = Field(default=4096, gt=0)
    """Tokens of an episode at most, pictures' tokens included. Demonstrations are dropped until it fits."""

    max_images: int | None = Field(default=None, gt=0)
    """Pictures of an episode at most."""

    drop: Drop = "farthest"
    """Which demonstration goes first when something must go; farthest: the least similar to the query."""

    seed: int = 0
    """Of `drop: random`."""

    def weight(self, query: bool) -> float:
        """Weight of the loss on a query's or a demonstration's answer."""
        return 1.0 if query or self.loss == "all" else self.demonstration_weight if self.loss == "weighted" else 0.0
