"""A vision tower, a fresh projector and a causal language model become one LLaVA that plain transformers loads.

The projector is LLaVA-1.5's two layers with GELU between (arXiv 2310.03744). Its weights are random, drawn from the seed,
and scaled by a look at probe pictures so that visual tokens come out as large as the language model's own embeddings.
Given named pictures, it is then taught to put them beside the words for them (train/model/contrast.py).
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from curate.errors import ConfigError, InputError
from curate.seeding import seed_of
from curate.settings import Settings
from curate.storage import clear_errors
from train.model.chat import with_pictures
from train.model.contrast import ContrastSettings, Pair, Taught, teach
from train.model.embedded import Embedded, readable
from train.model.pieces import Causal, Tower, load_causal, load_tower
from train.model.places import quietly

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import LlavaForConditionalGeneration, LlavaProcessor

IMAGE_TOKEN = "<image>"
MULTIPLE = 64
"""Rows of the embeddings are a multiple of this, which matrix units like."""

PROBES = 16
"""Pictures that the projector's scale is found with."""


class AssembleSettings(Settings):
    """How the halves are joined."""

    grid: int | None = Field(default=None, gt=0)
    """Side of the grid of tokens of a picture, for towers of timm and the embedded one; null: the network's own."""

    seed: int = 0
    """Of the projector's weights."""

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """In which numbers the folder is written; auto: the wider of the two halves'."""

    contrast: ContrastSettings = Field(default_factory=ContrastSettings)
    """How the projector is taught where named pictures are given."""

    remote_code: bool = False
    """Run code that comes with a half. Only for models whose code you have read."""


@dataclass(frozen=True)
class Assembled:
    """What was joined."""

    vision: str
    lm: str
    parameters: dict[str, int]  # by part, tied embeddings once
    image_tokens: int  # of a picture
    image_size: int  # pixels of a side
    vocabulary: int  # tokens that the tokenizer knows
    scale: float | None  # RMS of visual tokens over RMS of word embeddings; null where nothing was built
    seed: int
    taught: Taught | None = None  # what named pictures taught the projector


@dataclass(frozen=True)
class Named:
    """Named pictures for a projector to begin with."""

    pairs: Iterable[Pair]
    progress: Callable[[int, int], None] = lambda done, total: None
    """Told how many of how many pictures were looked at."""


def assemble(
    vision: str,
    lm: str,
    out: Path,
    settings: AssembleSettings | None = None,
    embedded: Embedded | None = None,
    named: Named | None = None,
) -> Assembled:
    """Writes the folder `out` with model, processor and assembled.json; it appears whole or not at all.

    InputError where a half or its files are not there or `out` holds something, ConfigError for halves that do not fit.
    """
    settings = settings or AssembleSettings()
    _check_free(out)
    tower, causal = _halves(vision, lm, settings, embedded, empty=False)
    processor = processor_of(tower, causal)
    model = join(tower, causal, processor.image_token_id, settings.seed)
    taught = teach(model, processor, named.pairs, settings.contrast, named.progress) if named else None
    facts = replace(_facts(vision, lm, tower, causal, model, settings.seed), taught=taught)
    _write(model, processor, facts, out, settings)
    return facts


def preview(
    vision: str, lm: str, out: Path, settings: AssembleSettings | None = None, embedded: Embedded | None = None
) -> Assembled:
    """What `assemble` would write. Checks everything but the weights, which are not read."""
    settings = settings or AssembleSettings()
    _check_free(out)
    tower, causal = _halves(vision, lm, settings, embedded, empty=True)
    processor = processor_of(tower, causal)
    _make_room(causal, processor.image_token_id)
    model = _bare(tower, causal, processor.image_token_id)
    return _facts(vision, lm, tower, causal, model, settings.seed)


def _check_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} already holds something; give another folder or remove it")


def _halves(vision: str, lm: str, settings: AssembleSettings, embedded: Embedded | None, empty: bool) -> tuple[Tower, Causal]:
    tower = load_tower(vision, settings.grid, empty, embedded, settings.remote_code)
    return tower, load_causal(lm, empty, embedded, settings.remote_code)


def processor_of(tower: Tower, causal: Causal) -> "LlavaProcessor":
    """LLaVA's processor: whole pictures squeezed to the tower's square, the tokenizer with the image token in it."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    tokenizer, size = causal.tokenizer, int(tower.config.image_size)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    square = {"height": size, "width": size}
    pictures = CLIPImageProcessor(
        size=square, crop_size=square, image_mean=tower.mean, image_std=tower.std, resample=tower.resample
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=size // tower.side,
        vision_feature_select_strategy=_strategy(tower),
        num_additional_image_tokens=tower.extra,
        chat_template=with_pictures(tokenizer.chat_template, IMAGE_TOKEN),
    )


def _strategy(tower: Tower) -> Literal["default", "full"]:
    return "default" if tower.extra else "full"  # default leaves the first token out


def join(tower: Tower, causal: Causal, image_token: int, seed: int) -> "LlavaForConditionalGeneration":
    """The model, its halves those given and not copies. ConfigError for a language model that computes more than LLaVA's
    layout can say, found by comparing what both make of a text."""
    import torch

    dtype = torch.promote_types(tower.model.dtype, causal.model.dtype)
    tower.model.to(dtype)
    causal.model.to(dtype)
    _make_room(causal, image_token)
    ids = torch.arange(3, 35)[None] % causal.model.config.vocab_size
    with torch.no_grad():
        alone = causal.model(input_ids=ids).logits
    model = _bare(tower, causal, image_token)
    _lay_in(model, tower, causal)
    with torch.no_grad():
        joined = model(input_ids=ids).logits
    if not torch.equal(alone, joined):
        raise ConfigError(
            f"{type(causal.model).__name__} does not compute the same inside a LLaVA layout; use another language model"
        )
    start_projector(model, tower, seed)
    return model.eval()


def _make_room(causal: Causal, image_token: int) -> None:
    """Embeddings for tokens that the language model lacks: the mean of those it has, so that they are never likely."""
    import torch

    model = causal.model
    rows = int(model.get_input_embeddings().weight.shape[0])
    if image_token < rows:
        return
    means = [table.weight.float().mean(0) for table in _tables(model)]
    model.resize_token_embeddings(len(causal.tokenizer), pad_to_multiple_of=MULTIPLE, mean_resizing=False)
    with torch.no_grad():
        for table, mean in zip(_tables(model), means, strict=True):
            table.weight[rows:] = mean


def _tables(model: "nn.Module") -> "list[nn.Embedding | nn.Linear]":
    return [table for table in (model.get_input_embeddings(), model.get_output_embeddings()) if table is not None]


def _bare(tower: Tower, causal: Causal, image_token: int) -> "LlavaForConditionalGeneration":
    """The layout on the meta device."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    for half in (tower, causal):
        half.model.config._name_or_path = ""  # the folder would tell where its halves once lay
    config: LlavaConfig = LlavaConfig(
        vision_config=tower.config,
        text_config=causal.model.config,
        image_token_index=image_token,
        image_seq_length=tower.tokens,
        vision_feature_layer=-1,
        vision_feature_select_strategy=_strategy(tower),
        tie_word_embeddings=bool(causal.model.config.tie_word_embeddings),
    )
    with torch.device("meta"):
        return LlavaForConditionalGeneration(config)


def _lay_in(model: "LlavaForConditionalGeneration", tower: Tower, causal: Causal) -> None:
    decoder, head = causal.model.base_model, causal.model.get_output_embeddings()
    fits = type(decoder) is type(model.model.language_model) and getattr(head, "bias", None) is None
    if head is None or decoder is causal.model or not fits:
        raise ConfigError(f"{type(causal.model).__name__} does not fit LLaVA's layout; use another language model")
    model.model.vision_tower, model.model.language_model, model.lm_head = tower.model, decoder, head
    model.generation_config = causal.model.generation_config
    model.model.multi_modal_projector.to_empty(device="cpu").to(causal.model.dtype)


def start_projector(model: "LlavaForConditionalGeneration", tower: Tower, seed: int) -> None:
    """Random weights by the seed, no biases; each layer scaled so that what it gives has a known RMS on probe pictures: 1
    before GELU, that of the word embeddings behind it (as arXiv 1511.06422 starts deep networks)."""
    import torch

    projector, size = model.model.multi_modal_projector, int(tower.config.image_size)
    generator = torch.Generator().manual_seed(seed_of(seed, "assemble", "projector") % 2**63)
    with torch.no_grad():
        tokens = visual_tokens(model, probes(size, seed)).flatten(0, 1)
        _start(projector.linear_1, tokens, 1.0, generator)
        _start(projector.linear_2, projector.act(projector.linear_1(tokens)), embedding_rms(model), generator)


def _start(layer: "nn.Linear", inputs: "Tensor", target: float, generator: "torch.Generator") -> None:
    """Random weights under which the layer makes of `inputs` what has an RMS of `target`, to half a percent: the factor has
    three digits, so that the bits do not depend on the order in which a machine adds."""
    import torch

    if layer.bias is not None:
        layer.bias.zero_()
    layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) / layer.in_features**0.5)
    layer.weight.mul_(float(f"{target / rms(layer(inputs)):.2e}"))


def visual_tokens(model: "LlavaForConditionalGeneration", pixels: "Tensor") -> "Tensor":
    """[B, N, D] features that the projector reads, of pictures [B, 3, S, S]."""
    tower = model.model.vision_tower
    states: Tensor = tower(pixel_values=pixels.to(tower.dtype), output_hidden_states=True).hidden_states[-1]
    return states[:, 1:] if model.config.vision_feature_select_strategy == "default" else states


def probes(size: int, seed: int) -> "Tensor":
    """[B, 3, S, S] pictures of coloured spots, about as spread as standardised photographs."""
    import torch
    from torch.nn.functional import interpolate

    generator = torch.Generator().manual_seed(seed_of(seed, "assemble", "probes") % 2**63)
    spots = torch.randn(PROBES, 3, 8, 8, generator=generator)
    return interpolate(spots, size=(size, size), mode="bilinear").clamp(-2, 2)


def rms(values: "Tensor") -> float:
    """Root of the mean square."""
    return float(values.detach().float().square().mean().sqrt())


def embedding_rms(model: "LlavaForConditionalGeneration") -> float:
    """RMS of the language model's word embeddings."""
    return rms(model.get_input_embeddings().weight)


def token_scale(model: "LlavaForConditionalGeneration", pixels: "Tensor") -> float:
    """RMS of the visual tokens of pictures [B, 3, S, S] over that of the word embeddings."""
    import torch

    with torch.no_grad():
        projected = model.model.multi_modal_projector(visual_tokens(model, pixels))
    return rms(projected) / embedding_rms(model)


def _facts(vision: str, lm: str, tower: Tower, causal: Causal, model: "LlavaForConditionalGeneration", seed: int) -> Assembled:
    from train.model.parts import sizes

    size = int(tower.config.image_size)
    built = not any(parameter.is_meta for parameter in model.parameters())
    scale = round(token_scale(model, probes(size, seed)), 4) if built else None
    tower_name, lm_name = (Path(name).name if Path(name).is_absolute() else name for name in (vision, lm))
    return Assembled(tower_name, lm_name, sizes(model), tower.tokens, size, len(causal.tokenizer), scale, seed)


def _write(
    model: "LlavaForConditionalGeneration",
    processor: "LlavaProcessor",
    facts: Assembled,
    out: Path,
    settings: AssembleSettings,
) -> None:
    import torch

    if settings.dtype != "auto":
        model.to(getattr(torch, settings.dtype))
    with clear_errors(str(out)):
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".tmp-", dir=out.parent))
        try:
            with quietly():
                model.save_pretrained(scratch)
            processor.save_pretrained(scratch)
            (scratch / "assembled.json").write_text(json.dumps(asdict(facts), indent=2) + "\n", encoding="utf-8")
            readable(scratch)
            scratch.rename(out)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
