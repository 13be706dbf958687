"""The language half of a model: embeddings, with pictures' features among them, the decoder, and a head in float32.

Where a class does more between its parts than this (other masks, features in several layers, scaled logits), the
reader finds out when it compares this way with the class itself, and reads by the class itself; see plain.py.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from train.data.positions import Ints
from train.evaluate.trees import Bools
from train.model.isolation import implementation_of, sliding_window_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.evaluate.prefixes import Prefix

WORDS = 256
"""Tokens scored at a time; each takes the whole vocabulary in float32."""


@dataclass(frozen=True, eq=False)
class Row:
    """N positions as the language model takes them."""

    ids: Ints  # [N]
    positions: Ints  # [1, N], or [3, N] where the model counts in three directions
    slots: Bools  # [N] where features of pictures go
    features: "tuple[torch.Tensor, ...]"  # [slots, D] of each picture, in order
    seen: Bools | None = None  # [N, N] whom each position sees; None where that is all before it

    def __len__(self) -> int:
        return len(self.ids)

    def split(self, at: int) -> "tuple[Row, Row]":
        """The first `at` positions, each of which sees all before it, and the others."""
        ends = np.cumsum([0, *map(len, self.features)])
        there = int(np.searchsorted(ends, self.slots[:at].sum()))
        seen = None if self.seen is None else self.seen[at:, at:]
        head = Row(self.ids[:at], self.positions[:, :at], self.slots[:at], self.features[:there])
        return head, Row(self.ids[at:], self.positions[:, at:], self.slots[at:], self.features[there:], seen)


class Language:
    """A model's decoder with what stands before and behind it."""

    def __init__(self, model: "PreTrainedModel", dtype: torch.dtype) -> None:
        """Casts decoder and embeddings to `dtype`. The tower stays in float32: half its digits cost more than everything
        else of bfloat16 does. So does the head, or near scores would fall together."""
        self._head: Any = model.get_output_embeddings()
        if dtype != torch.float32:
            self._head = copy.deepcopy(self._head)  # often tied to the embeddings, which are cast
        self._decoder, self._table = model.get_decoder().to(dtype), model.get_input_embeddings().to(dtype)
        self._kind, self.window = implementation_of(model), sliding_window_of(model)
        self.device, self.dtype = model.device, dtype

    def hidden(self, rows: Sequence[Row], prefix: "Prefix | None" = None) -> torch.Tensor:
        """[B, L, D] what the decoder makes of rows, padded behind, where nothing real sees it; behind a prefix of all."""
        before = 0 if prefix is None else prefix.length
        given: dict[str, Any] = {"attention_mask": self._mask(rows, max(map(len, rows)), before), "use_cache": bool(prefix)}
        if prefix is not None:
            given["past_key_values"] = prefix.repeated(len(rows))
        made = self._decoder(**self.given(rows), **given)
        return made.last_hidden_state

    def cached(self, row: Row) -> Any:
        """The decoder's keys and values of a row, for what may follow it."""
        return self._decoder(**self.given([row]), use_cache=True).past_key_values

    def given(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """The decoder's inputs_embeds and position_ids for rows, padded behind."""
        length = max(map(len, rows))
        positions = torch.from_numpy(np.stack([_counted_on(row.positions, length) for row in rows], 1)).to(self.device)
        return {"inputs_embeds": self.embedded(rows, length), "position_ids": _as_taken(positions)}

    def embedded(self, rows: Sequence[Row], length: int, left: bool = False) -> torch.Tensor:
        """[B, L, D] embeddings, padded behind, or in front when `left`."""
        ids, slots = np.zeros((len(rows), length), np.int64), np.zeros((len(rows), length), np.bool_)
        for at, row in enumerate(rows):
            there = slice(length - len(row), length) if left else slice(0, len(row))
            ids[at, there], slots[at, there] = np.where(row.slots, 0, row.ids), row.slots
        made: torch.Tensor = self._table(torch.from_numpy(ids).to(self.device))
        features = [one for row in rows for one in row.features]
        if features:
            made[torch.from_numpy(slots).to(self.device)] = torch.cat(features).to(made)
        return made

    def likelihoods(self, hidden: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """[W] float32 log-probabilities of tokens [W] by the positions [W, D] that predict them."""
        parts = zip(hidden.split(WORDS), tokens.split(WORDS), strict=True)
        return torch.cat([-cross_entropy(self._head(some.float()).float(), words, reduction="none") for some, words in parts])

    def words(self, hidden: torch.Tensor) -> torch.Tensor:
        """[B] the likeliest tokens behind positions [B, D]."""
        return self._head(hidden.float()).argmax(-1)

    def step(self, inputs: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, cache: Any) -> tuple[torch.Tensor, Any]:
        """[B, D] of the last position behind embeddings [B, L, D] that follow what the cache holds, and the cache.
        `mask` [B, all] is 1 where something stands, `positions` [1 or 3, B, L]."""
        made = self._decoder(inputs_embeds=inputs, position_ids=_as_taken(positions), attention_mask=mask,
                             past_key_values=cache, use_cache=True)  # fmt: skip
        return made.last_hidden_state[:, -1], made.past_key_values

    def table(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings [..., D] of words."""
        return self._table(ids)

    def _mask(self, rows: Sequence[Row], length: int, before: int) -> torch.Tensor | None:
        """[B, 1, L, before + L], all seeing what is before; None where every position sees all before it, which attention
        does fastest by itself."""
        if all(row.seen is None for row in rows) and not before:
            return None
        whole = torch.ones(length, length, dtype=torch.bool).tril().repeat(len(rows), 1, 1)
        for mask, row in zip(whole, rows, strict=True):
            if row.seen is not None:
                mask[: len(row), : len(row)] = torch.from_numpy(row.seen)
        seen = torch.nn.functional.pad(whole, (before, 0), value=True)[:, None].to(self.device)
        if self._kind != "eager":
            return seen
        hidden = torch.finfo(self.dtype).min
        return torch.zeros((), dtype=self.dtype, device=self.device).where(seen, hidden)


def _counted_on(positions: Ints, length: int) -> Ints:
    """[1 or 3, L]: padding goes on counting, since positions that begin anew would be read as another sequence."""
    behind = positions.max() + 1 + np.arange(length - positions.shape[1])
    return np.concatenate([positions, np.broadcast_to(behind, (len(positions), len(behind)))], 1)


def _as_taken(positions: torch.Tensor) -> torch.Tensor:
    """[B, L] where positions count in one direction, [3, B, L] else."""
    return positions[0] if len(positions) == 1 else positions
