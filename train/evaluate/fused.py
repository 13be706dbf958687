"""Asks whose demonstrations are fused (AIM): a few virtual tokens each in front of the query, read once and remembered."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from curate.errors import ConfigError
from train.bank import Aggregator, Bank, Banked
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
from train.model.aim.backbone import Backbone, backbone_of
from train.model.aim.forward import virtual_tokens
from train.model.aim.projection import Projection

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.evaluate.reader import ReaderSettings


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
        fixed = self._pieces.prefix + count if count else 0
        return replace(line, ids=ids, start=line.start + count, fixed=fixed, fused=ask.demonstrations)

    def positions(self, line: Line, grids: Sequence[Ints]) -> Ints:
        """See Lines: virtual tokens are counted as words."""
        slots = self.is_picture(line)
        slots[self._pieces.prefix : self._pieces.prefix + sum(map(self.aggregator.length, line.fused))] = False
        return self.counted(slots, grids)


class FusedQuick(Quick):
    """Reads lines with virtual tokens."""

    def __init__(
        self, language: Language, sight: Sight, lines: FusedLines, backbone: Backbone, projection: Projection,
        aggregator: Aggregator, prefixes: int = 0,
    ) -> None:  # fmt: skip
        """`aggregator`: that of the lines, or a bank in front of it."""
        super().__init__(language, sight, lines, True, prefixes)
        self._kept, self._backbone, self._projection, self.aggregator = lines.aggregator.kept, backbone, projection, aggregator

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
        return {turn: None if states is None else self._projected(turn, states)
                for turn, states in zip(asked, self.aggregator.aggregate(asked), strict=True)}  # fmt: skip

    def _projected(self, turn: Turn, states: torch.Tensor) -> torch.Tensor:
        device, width = self._projection.linear.weight.device, self._backbone.width
        words, kinds, groups = (torch.as_tensor(one, device=device) for one in self._kept(turn))
        apart = states.to(device).unflatten(1, (-1, width))
        return virtual_tokens(self._backbone, self._projection, apart, words, kinds, groups)


def fused_reader(
    model: "PreTrainedModel", renderer: Renderer, projection: Projection, settings: "ReaderSettings", dtype: torch.dtype,
    sums: dict[str, str],
) -> tuple[FusedLines, FusedQuick]:  # fmt: skip
    """The lines and the way of a model with a projection. `sums`: checksums of its weights by name."""
    from train.evaluate.reader import digest_of

    pieces = Pieces(renderer, projection.settings)
    lines = FusedLines(renderer, pieces)
    language = Language(model, dtype)
    sight = Sight(model, renderer.processor, lines.slots, settings.cache_mb << 20)
    frozen = {name: value for name, value in sums.items() if not name.startswith("aim.")}
    known: dict[str, Any] = {"weights": digest_of(frozen), "rendering": renderer.digest}
    backbone = backbone_of(model)
    aggregator = ModelAggregator(backbone, language, sight, lines, pieces, projection.settings, known)
    lines.aggregator = aggregator
    asked: Aggregator = Banked(aggregator, Bank(settings.bank)) if settings.bank else aggregator
    return lines, FusedQuick(language, sight, lines, backbone, projection, asked, settings.prefixes)


def load_aggregator(place: str, settings: "ReaderSettings | None" = None) -> Aggregator:
    """What a run of the stage aim, or a model that begins one, makes of demonstrations. ConfigError for a model without a
    projection."""
    from train.evaluate.reader import VlmReader

    aggregator = VlmReader.load(place, settings).aggregator
    if aggregator is None:
        raise ConfigError(f"{place} fuses no demonstrations; give a run of the stage aim (curate train with stage: aim)")
    return aggregator
