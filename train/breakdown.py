"""Losses by source, by format and by shot position, exact over ranks and micro-batches.

Shot position k is the k-th answer of an episode: the one that k demonstrations stand before. An ICL-tuned model's
loss falls along it.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from train.loss import Targets

if TYPE_CHECKING:
    from curate.shards.plans import Plan
    from train.parallel.ranks import Ranks

Losses: TypeAlias = dict[str, dict[str, dict[str, Any]]]
"""source, format or shots -> value -> {"loss": mean, "tokens": their number}"""

POSITIONS = 64
"""Shot positions told apart; later ones count as the last."""


class Breakdown:
    """Sums of losses, weights and tokens over a stretch of steps."""

    def __init__(self, plan: "Plan", device: torch.device) -> None:
        self._names: dict[str, list[str]] = {}
        self._codes: dict[str, torch.Tensor] = {}  # [S] on the CPU: the value of each of the plan's samples
        for axis in ("source", "format"):
            column = plan.samples.column(axis).combine_chunks().dictionary_encode()
            self._names[axis] = [str(name) for name in column.dictionary.to_pylist()]
            self._codes[axis] = torch.from_numpy(column.indices.to_numpy().astype("int32"))
        self._names["shots"] = [str(position) for position in range(POSITIONS)]
        self._device = device
        self.clear()

    def clear(self) -> None:
        """Begins a new stretch."""
        size = sum(map(len, self._names.values()))
        self._sums = torch.zeros(size, 3, dtype=torch.float64, device=self._device)  # loss x weight, weight, tokens

    def add(self, targets: Targets, losses: torch.Tensor) -> None:
        """Counts a micro-batch: `targets` on the CPU, `losses` [N] where the model is."""
        weights = targets.weights.to(self._device, torch.float64)
        rows = torch.stack([losses.detach().double() * weights, weights, torch.ones_like(weights)], 1)  # [N, 3]
        for places in self._places(targets):
            self._sums.index_add_(0, places.to(self._device), rows)

    def _places(self, targets: Targets) -> Iterable[torch.Tensor]:
        """For each axis, which line of the sums a token counts in; [N] on the CPU."""
        start = 0
        for axis, names in self._names.items():
            own = targets.turns.clamp(0, POSITIONS - 1) if axis == "shots" else self._codes[axis][targets.samples].long()
            yield own + start
            start += len(names)

    def totals(self, ranks: "Ranks") -> "Totals":
        """What all ranks counted; every rank must ask."""
        sums = ranks.sum(self._sums).cpu()
        losses: Losses = {}
        start = 0
        for axis, names in self._names.items():
            own = sums[start : start + len(names)].tolist()
            losses[axis] = {name: _figures(*row) for name, row in zip(names, own, strict=True) if row[2]}
            start += len(names)
        first = len(self._names["source"])
        loss, weight, tokens = sums[:first].sum(0).tolist()  # every token has one source
        return Totals(loss / weight if weight else float("nan"), int(tokens), losses)

    def state(self, ranks: "Ranks") -> dict[str, list[float]]:
        """The stretch so far, for a checkpoint: the sums that are not zero by their place; every rank must ask."""
        sums = ranks.sum(self._sums).cpu()
        return {str(place): row for place, row in enumerate(sums.tolist()) if any(row)}

    def restore(self, state: Mapping[str, list[float]], ranks: "Ranks") -> None:
        """Goes on with a stretch, which one rank carries for all."""
        self.clear()
        for place, row in state.items() if ranks.first else ():
            self._sums[int(place)] = torch.tensor(row, dtype=torch.float64)


class Totals:
    """The mean loss of a stretch, and of its parts."""

    def __init__(self, loss: float, tokens: int, losses: Losses) -> None:
        self.loss, self.tokens, self.losses = loss, tokens, losses


def _figures(loss: float, weight: float, tokens: float) -> dict[str, Any]:
    return {"loss": loss / weight if weight else float("nan"), "tokens": int(tokens)}
