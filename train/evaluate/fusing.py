"""A reader of fused demonstrations, put together; and the aggregator alone, as `curate bank build` needs it."""

from typing import TYPE_CHECKING, Any

import torch

from curate.errors import ConfigError
from train.bank import Aggregator, Bank, Banked
from train.data.aiming import Pieces
from train.data.rendering import Renderer
from train.evaluate.aggregating import ModelAggregator
from train.evaluate.fused import FusedLines, FusedQuick
from train.evaluate.language import Language
from train.evaluate.sight import Sight
from train.model.aim.backbone import backbone_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.evaluate.reader import ReaderSettings
    from train.model.aim.projection import Projection


def fused_reader(
    model: "PreTrainedModel", renderer: Renderer, projection: "Projection", settings: "ReaderSettings", dtype: torch.dtype,
    sums: dict[str, str],
) -> tuple[FusedLines, FusedQuick]:  # fmt: skip
    """The lines and the way of a model with a projection. `sums`: checksums of its weights by name."""
    from train.evaluate.reader import digest_of

    pieces = Pieces(renderer, projection.settings.span)
    lines = FusedLines(renderer, pieces)
    language = Language(model, dtype)
    sight = Sight(model, renderer.processor, lines.slots, settings.cache_mb << 20)
    frozen = {name: value for name, value in sums.items() if not name.startswith("aim.")}
    known: dict[str, Any] = {"weights": digest_of(frozen), "rendering": renderer.digest}
    aggregator = ModelAggregator(backbone_of(model), language, sight, lines, pieces, projection.settings, known)
    lines.aggregator = aggregator
    asked: Aggregator = Banked(aggregator, Bank(settings.bank)) if settings.bank else aggregator
    return lines, FusedQuick(language, sight, lines, projection, asked)


def load_aggregator(place: str, settings: "ReaderSettings | None" = None) -> Aggregator:
    """What a run of the stage aim, or a model that begins one, makes of demonstrations. ConfigError for a model without a
    projection."""
    from train.evaluate.reader import VlmReader

    aggregator = VlmReader.load(place, settings).aggregator
    if aggregator is None:
        raise ConfigError(f"{place} fuses no demonstrations; give a run of the stage aim (curate train with stage: aim)")
    return aggregator
