"""Asks whose demonstrations are fused (AIM): a few virtual tokens each in front of the query, read once and remembered."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from train.data.aiming import Pieces
from train.data.positions import Ints
from train.data.records import BadSample
from train.data.rendering import Renderer
from train.evaluate.aggregating import ModelAggregator
from train.evaluate.language import Language, Row
from train.evaluate.lines import Line, Lines
from train.evaluate.records import Ask, Turn
from train.evaluate.sight import Seen, Sight
from train.evaluate.trees import Tree
from train.evaluate.ways import Quick
from train.model.aim.projection import Projection, groups_of, pooled

if TYPE_CHECKING:
    from train.bank import Aggregator


class FusedLines(Lines):
    """Lines of the query alone, with slots for the virtual tokens of its demonstrations."""

    def __init__(self, renderer: Renderer, pieces: Pieces) -> None:
        super().__init__(renderer)
        self._pieces = pieces
        self.aggregator: ModelAggregator

    def of(self, ask: Ask, answer: str) -> Line:
        """See Lines."""
        line = super().of(replace(ask, demonstrations=()), answer)
        count = sum(map(self.aggregator.length, ask.demonstrations))
        ids = self._pieces.with_slots(line.ids, count, self.placeholder)
        return replace(line, ids=ids, start=line.start + count, fused=ask.demonstrations)

    def positions(self, line: Line, grids: Sequence[Ints]) -> Ints:
        """See Lines: virtual tokens are counted as words."""
        slots = self.is_picture(line)
        slots[self._pieces.prefix : self._pieces.prefix + sum(map(self.aggregator.length, line.fused))] = False
        return self.counted(slots, grids)


class FusedQuick(Quick):
    """Reads lines with virtual tokens."""

    def __init__(
        self, language: Language, sight: Sight, lines: FusedLines, projection: Projection, aggregator: "Aggregator"
    ) -> None:
        super().__init__(language, sight, lines, shared=True)
        self._projection, self.aggregator, self._pool = projection, aggregator, projection.settings.pool

    def _rows(self, groups: Sequence[Sequence[Line]], trees: Sequence[Tree] | None = None) -> "list[Row | BadSample]":
        seen = self._sight.of(picture for group in groups for picture in group[0].pictures)
        virtual = self._virtual({turn: None for group in groups for turn in group[0].fused})
        known: Sequence[Tree | None] = trees or [None] * len(groups)
        return [self._fused(group, tree, seen, virtual) for group, tree in zip(groups, known, strict=True)]

    def _fused(
        self,
        lines: Sequence[Line],
        tree: Tree | None,
        seen: "dict[str, Seen | BadSample]",
        virtual: dict[Turn, torch.Tensor | None],
    ) -> "Row | BadSample":
        row = self._row(lines, tree, seen)
        shown = [virtual[turn] for turn in lines[0].fused]
        if isinstance(row, BadSample):
            return row
        if any(one is None for one in shown):
            return BadSample("image_refused", "a demonstration cannot be read")
        return replace(row, features=(*(one for one in shown if one is not None), *row.features))

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _virtual(self, turns: dict[Turn, None]) -> dict[Turn, torch.Tensor | None]:
        """[n, D] virtual tokens by demonstration."""
        asked = list(turns)
        return {turn: None if states is None else self._projected(states)
                for turn, states in zip(asked, self.aggregator.aggregate(asked), strict=True)}  # fmt: skip

    def _projected(self, states: torch.Tensor) -> torch.Tensor:
        weight = self._projection.linear.weight
        apart = states.to(weight.device).unflatten(1, (-1, weight.shape[0]))
        groups = torch.tensor(groups_of([len(apart)], self._pool), device=weight.device)
        return pooled(self._projection(apart), groups)
