"""An aggregator that asks its bank first."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from train.bank.bank import Bank
from train.bank.keys import key_of
from train.evaluate.records import Turn


class Aggregator(Protocol):
    """A frozen model that reads a demonstration on its own. What it makes depends on nothing else in the same call."""

    def facts(self) -> dict[str, Any]:
        """All that decides its hidden states: digests of weights, processor and template, layer, dtype, span. JSON."""

    def aggregate(self, turns: Sequence[Turn]) -> list[torch.Tensor | None]:
        """Hidden states H of each demonstration before any trained projection, [n, D]; None for one that cannot be used."""


class Banked:
    """An Aggregator over another one and a bank. Hidden states come on the CPU, whether they were stored or are new."""

    def __init__(self, inner: Aggregator, bank: Bank) -> None:
        """The facts are asked for once, here."""
        self._inner, self.bank, self._facts = inner, bank, inner.facts()
        self._unusable: set[str] = set()
        self.hits = 0  # demonstrations that the inner aggregator was not asked for
        self.misses = 0  # demonstrations that it was asked for

    def facts(self) -> dict[str, Any]:
        """The inner aggregator's."""
        return self._facts

    def aggregate(self, turns: Sequence[Turn]) -> list[torch.Tensor | None]:
        """As the inner one, which is asked once for all that is missing, equal demonstrations once.

        Equal ones get the same tensor. What cannot be used is not stored, but is not asked for again by this object.
        """
        keys = [key_of(self._facts, turn) for turn in turns]
        known: dict[str, torch.Tensor | None] = dict(self.bank.get(keys))
        known |= dict.fromkeys(self._unusable.intersection(keys))
        missing = {key: turn for key, turn in zip(keys, turns, strict=True) if key not in known}
        self.misses += len(missing)
        self.hits += len(turns) - len(missing)
        if missing:
            known |= self._made(missing)
        return [known[key] for key in keys]

    def _made(self, missing: dict[str, Turn]) -> dict[str, torch.Tensor | None]:
        """New hidden states by key, stored."""
        made = dict(zip(missing, self._inner.aggregate(list(missing.values())), strict=True))
        new = {key: hidden.detach().cpu() for key, hidden in made.items() if hidden is not None}
        self._unusable |= made.keys() - new.keys()
        self.bank.put(new, self._facts)
        return {key: new.get(key) for key in made}
