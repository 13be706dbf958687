"""Demonstrations read by a frozen model, each for itself: AIM's hidden states before the projection."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from train.data.aiming import Kinds, Pieces
from train.data.positions import Ints
from train.data.records import BadSample
from train.evaluate.language import Language, Row
from train.evaluate.lines import Lines, shot_of
from train.evaluate.records import Turn
from train.evaluate.sight import Seen, Sight
from train.evaluate.trees import Bools
from train.evaluate.ways import alike
from train.model.aim.backbone import Backbone
from train.model.aim.projection import groups_of

if TYPE_CHECKING:
    from train.model.aim.settings import AimSettings

REMEMBERED = 8192
"""Demonstrations whose tokens are remembered."""

TOGETHER = 4096
"""Positions of a batch of demonstrations, padding included."""


class ModelAggregator:
    """An Aggregator (train/bank) over a model's parts as a reader holds them."""

    def __init__(
        self, backbone: Backbone, language: Language, sight: Sight, lines: Lines, pieces: Pieces, settings: "AimSettings",
        known: dict[str, Any],
    ) -> None:  # fmt: skip
        """`known`: what tells the frozen model and its processor from others."""
        self._backbone, self._language, self._sight, self._lines = backbone, language, sight, lines
        self._layers, self._pool = settings.resolved(backbone.depth), settings.pool
        self._verbatim = settings.words
        read = {"layers": list(self._layers), "span": settings.span, "verbatim": settings.verbatim}
        self._known = {**known, **read, "dtype": str(language.dtype)}
        self._rendered = lru_cache(REMEMBERED)(self._render)
        self._pieces = pieces
        self.computed = 0  # demonstrations that went through the model

    def facts(self) -> dict[str, Any]:
        """See Aggregator."""
        return dict(self._known)

    def length(self, turn: Turn) -> int:
        """Virtual tokens of a demonstration. BadSample when it does not fit."""
        return len(set(self.kept(turn)[2]))

    def kept(self, turn: Turn) -> tuple[Ints, Kinds, list[int]]:
        """[n] the words whose states are kept, their kinds, and which virtual token each goes into. BadSample when the
        demonstration does not fit."""
        ids, kinds = self._rendered(turn)
        words, sorts = ids[kinds > 0], kinds[kinds > 0]
        return words, sorts, groups_of([sorts.tolist()], self._pool, self._verbatim)

    def aggregate(self, turns: Sequence[Turn]) -> list[torch.Tensor | None]:
        """[n, layers * D] of each; None for one that cannot be rendered or whose picture cannot be used."""
        seen = self._sight.of(picture for turn in turns for picture in turn.pictures)
        rows = {at: row for at, turn in enumerate(turns) if (row := self._row(turn, seen)) is not None}
        found: list[torch.Tensor | None] = [None] * len(turns)
        for batch in alike({at: len(row) for at, row in rows.items()}, TOGETHER):
            given = self._language.given([rows[at] for at in batch])
            for at, states in zip(batch, self._backbone.states(self._layers, **given), strict=True):
                kept = torch.from_numpy(self._rendered(turns[at])[1] > 0)
                found[at] = states[: len(kept)][kept.to(states.device)].flatten(1)
        self.computed += len(rows)
        return found

    def _row(self, turn: Turn, seen: "dict[str, Seen | BadSample]") -> Row | None:
        looked = [seen[picture.ref] for picture in turn.pictures]
        try:
            ids, _ = self._rendered(turn)
        except BadSample:
            return None
        there = [one for one in looked if isinstance(one, Seen)]
        slots: Bools = ids == self._lines.placeholder
        if len(there) < len(looked) or sum(len(one.features) for one in there) != slots.sum():
            return None
        positions = self._lines.counted(slots, [one.grid for one in there])
        return Row(ids, positions, slots, tuple(one.features for one in there))

    def _render(self, turn: Turn) -> tuple[Ints, Kinds]:
        rendered, kinds = self._pieces.demonstration(shot_of(turn), range(len(turn.pictures)), len(turn.pictures))
        return rendered.input_ids, kinds
