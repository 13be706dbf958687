"""A vision-language model that answers questions with demonstrations: likelihoods of choices, or greedy text.

Asks become tokens exactly as training renders episodes, and are read the quickest way (see ways.py) that is right for the
model: when a reader is made, the quick ways are compared with the model's class itself. A model that does more between
its parts (Gemma 3 sees images both ways, Qwen3-VL feeds features into several layers) is read by its class.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from pydantic import Field

from curate.errors import ConfigError
from curate.settings import Settings
from train.data.records import BadSample
from train.data.rendering import Renderer, RenderSettings
from train.data.rendering.settings import Mode
from train.evaluate.language import Language
from train.evaluate.lines import Lines
from train.evaluate.proving import proven
from train.evaluate.records import Ask
from train.evaluate.sight import Sight
from train.evaluate.ways import Plain, Quick, Way, alike, batches
from train.model.aim.forward import projection_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.bank import Aggregator
    from train.model.aim.projection import Projection

Made = TypeVar("Made")


class ReaderSettings(Settings):
    """How a model is asked. Nothing but `mode`, `max_tokens` and `dtype` changes what it answers."""

    mode: Mode = "turns"
    """How an ask becomes a conversation; as the model was trained."""

    max_tokens: int = Field(default=8192, gt=0)
    """Tokens of a question with its demonstrations at most, pictures' tokens included; an ask with more is left unanswered."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the computation; scores are always made in float32."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one."""

    attention: Literal["sdpa", "eager"] = "sdpa"
    """Attention function of the language model."""

    threads: int | None = Field(default=None, gt=0)
    """Threads on a CPU; null: as torch has it."""

    batch_tokens: int = Field(default=4096, gt=0)
    """Positions of a batch, padding included; a longer ask makes a batch of its own."""

    cache_mb: int = Field(default=512, ge=0)
    """Room for what the tower made of pictures, in MiB."""

    way: Literal["auto", "trees", "rows", "plain"] = "auto"
    """See ways.py; auto: trees where they prove right."""

    prefixes: int = Field(default=0, ge=0)
    """Lists of demonstrations whose keys and values are kept: for asks that share them, as with `curate predict` and fixed
    demonstrations (which sets it to 1). Needs the quick ways, and a model without a sliding window."""

    bank: str | None = None
    """Folder where a run of the stage aim keeps what it aggregated of demonstrations (curate bank); null: nowhere."""


class VlmReader:
    """A Reader (see records.py) over a model of transformers."""

    def __init__(
        self, model: "PreTrainedModel", renderer: Renderer, settings: ReaderSettings | None = None, name: str = "model"
    ) -> None:
        """`model` in float32, as load_model gives it; it is moved and cast. ConfigError when it cannot be asked."""
        self.settings, self.name = settings or ReaderSettings(), name
        self.skipped: Counter[str] = Counter()
        """Asks left unanswered so far, by reason."""

        self._model, self._renderer, self._lines = model, renderer, Lines(renderer)
        self._projection = projection_of(model)
        self._sums = sums_of(model)
        self._digest = digest_of(self._sums)
        self._ends = self._lines.ends() | _ends_of(model)
        model.to(_device(self.settings.device))
        self._way, self.way = self._chosen()

    @classmethod
    def load(cls, place: str | os.PathLike[str], settings: ReaderSettings | None = None) -> "VlmReader":
        """Of a folder or hub name of a transformers model, a run of the trainer, one of its checkpoints, or an export.

        InputError when there is none there, ConfigError when it cannot be asked.
        """
        from train.checkpoint import weights_of
        from train.config import ComputeSettings
        from train.model.loading import load_model

        settings, name = settings or ReaderSettings(), os.fspath(place)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        how = RenderSettings(mode=settings.mode, max_tokens=settings.max_tokens, loss="last")
        renderer = Renderer.load(weights_of(name).base, how)
        model = load_model(name, ComputeSettings(attention=settings.attention))
        reader = cls(model, renderer, settings, name_of(name))
        if settings.bank and reader.aggregator is None:
            raise ConfigError(
                f"{name} fuses no demonstrations, so it has nothing to keep in a bank; leave out bank={settings.bank}"
            )
        return reader

    @property
    def aggregator(self) -> "Aggregator | None":
        """What reads demonstrations for a model that fuses them."""
        return getattr(self._way, "aggregator", None)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self._model.parameters()).device

    def prompt_tokens(self, asks: Sequence[Ask]) -> list[int]:
        """Positions of each prompt in the language model: words, pictures' tokens, virtual tokens; asks that do not fit are
        left out."""
        return [len(prompt) for prompt in self._rendered(asks, self._lines.prompt).values()]

    def facts(self) -> dict[str, Any]:
        """What tells this reader from another: the weights' hash, what rendering depends on, numbers. JSON."""
        known = self.settings.model_dump(mode="json", include={"mode", "max_tokens", "dtype"})
        parameters = sum(parameter.numel() for parameter in self._model.parameters())
        shown = {"class": type(self._model).__name__, "parameters": parameters, "way": self.way}
        return {"weights": self._digest, "rendering": self._renderer.digest, **known, **shown}

    def likelihoods(self, asks: Sequence[Ask]) -> list[list[float]]:
        """Log-probability of every choice of every ask, summed over its own tokens; [] for an ask that does not fit."""
        lines = self._rendered(asks, self._lines.of_choices)
        units = [unit for number, some in lines.items() for unit in self._way.units(number, some)]
        scores = {number: [0.0] * len(some) for number, some in lines.items()}
        for batch in batches(units, self.settings.batch_tokens):
            for unit, found in zip(batch, self._way.read(batch), strict=True):
                if isinstance(found, BadSample):
                    self._skip(unit.number, found, scores)
                elif unit.number in scores:
                    for choice, score in zip(unit.choices, found, strict=True):
                        scores[unit.number][choice] = score
        return [scores.get(number, []) for number in range(len(asks))]

    def generate(self, asks: Sequence[Ask], max_new_tokens: int = 32) -> list[str | None]:
        """What the model writes, greedily, up to the end of its turn; None for an ask that does not fit."""
        prompts = self._rendered(asks, self._lines.prompt)
        texts: dict[int, str | None] = dict.fromkeys(prompts)
        lengths = {number: len(prompt) + max_new_tokens for number, prompt in prompts.items()}
        for batch in alike(lengths, self.settings.batch_tokens):
            made = self._way.write([prompts[number] for number in batch], max_new_tokens, self._ends)
            for number, found in zip(batch, made, strict=True):
                if isinstance(found, BadSample):
                    self._skip(number, found, texts)
                else:
                    texts[number] = self._lines.text(found)
        return [texts.get(number) for number in range(len(asks))]

    def _rendered(self, asks: Sequence[Ask], render: Callable[[Ask], Made]) -> dict[int, Made]:
        """Of every ask that fits, by its number, what `render` makes of it."""
        made: dict[int, Made] = {}
        for number, ask in enumerate(asks):
            try:
                made[number] = render(ask)
            except BadSample as error:
                self.skipped[error.reason] += 1
        return made

    def _skip(self, number: int, why: BadSample, found: dict[int, Any]) -> None:
        if found.pop(number, ()) != ():
            self.skipped[why.reason] += 1

    def _chosen(self) -> tuple[Way, str]:
        """The way that was asked for, or the quickest that proves right, the model cast to its type."""
        asked, dtype = self.settings.way, getattr(torch, self.settings.dtype)
        plain = Plain(self._model, self._renderer.processor)
        quick = asked != "plain" and proven(lambda: self._quick(torch.float32, True), plain, self._lines)
        if asked in ("rows", "trees") and not quick:
            raise ConfigError(
                f"{type(self._model).__name__} computes otherwise than `{asked}` reads; set way to plain or auto"
            )
        if not quick and self._projection is not None:
            raise ConfigError(f"{type(self._model).__name__} cannot be read by its parts, which fused demonstrations need")
        if not quick:
            self._model.to(dtype)
            return plain, "plain"
        if self._projection is not None:
            return self._fused(dtype, self._projection), "fused"
        way = "rows" if asked == "rows" else "trees"
        return self._quick(dtype, way == "trees"), way

    def _fused(self, dtype: torch.dtype, projection: "Projection") -> Quick:
        """A reader of fused demonstrations; it needs the quick ways."""
        from train.evaluate.fused import fused_reader

        lines, way = fused_reader(self._model, self._renderer, projection, self.settings, dtype, self._sums)
        self._lines = lines
        return way

    def _quick(self, dtype: torch.dtype, shared: bool) -> Quick:
        sight = Sight(self._model, self._renderer.processor, self._lines.slots, self.settings.cache_mb << 20)
        return Quick(Language(self._model, dtype), sight, self._lines, shared, self.settings.prefixes)


def name_of(place: str) -> str:
    """What a model is called in tables: the last of its path, for a checkpoint its run's name with it."""
    parts = Path(place).parts
    if len(parts) > 2 and parts[-2] == "checkpoints":
        return f"{parts[-3]}/{parts[-1]}"
    return place if not Path(place).exists() else Path(place).resolve().name


def sums_of(model: "PreTrainedModel") -> dict[str, str]:
    """Checksums of the weights by name."""
    from train.checkpoint.state import checksum

    return {name: f"{checksum(tensor, 0):016x}" for name, tensor in sorted(model.state_dict().items())}


def digest_of(sums: dict[str, str]) -> str:
    """Content hash of weights, of their checksums by name."""
    return hashlib.sha256(repr(sorted(sums.items())).encode()).hexdigest()[:16]


def _ends_of(model: "PreTrainedModel") -> frozenset[int]:
    """Tokens that the model's own generation ends at."""
    known = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return frozenset([known] if isinstance(known, int) else known or ())


def _device(asked: str) -> torch.device:
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if asked == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no GPU here; set device to cpu or auto")
    return torch.device(asked)
