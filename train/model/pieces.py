"""The two halves of a vision-language model as they are found: a tower with what it makes of a picture, a causal LM."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import ConfigError, InputError
from curate.registry import nearest
from train.model.embedded import TOWER, Embedded
from train.model.places import check, gist, quietly, unreadable

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from train.model.towers import TimmTowerModel

BICUBIC = 3
EMBEDDED = "embedded"


@dataclass(frozen=True)
class Tower:
    """A vision tower whose last hidden states are the features that a projector reads."""

    model: "PreTrainedModel"
    side: int  # of the grid of tokens
    extra: int  # tokens beside the grid: 1 where a class token stands in front, else 0
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: int

    @property
    def config(self) -> "PretrainedConfig":
        """Its own configuration, with image_size and hidden_size."""
        return self.model.config

    @property
    def tokens(self) -> int:
        """Tokens of a picture."""
        return self.side**2


@dataclass(frozen=True)
class Causal:
    """A causal language model and its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"


def embedded_or_error(embedded: Embedded | None) -> Embedded:
    """The weights that need no hub; ConfigError where the caller brought none."""
    if embedded is None:
        raise ConfigError("no embedded weights were given to assemble; `curate assemble` brings them")
    return embedded


def load_tower(vision: str, grid: int | None, empty: bool, embedded: Embedded | None = None, remote: bool = False) -> Tower:
    """The tower called `vision`: embedded, a timm name, or a folder or hub name of either kind.

    With `empty` no weights are read: a timm tower has timm's own random ones, another lies on the meta device.
    InputError where there is none, ConfigError for one that cannot serve.
    """
    if vision == EMBEDDED:
        return timm_tower(TOWER, grid, None if empty else embedded_or_error(embedded).tower)
    name = timm_name(vision)
    if name is not None:
        return timm_tower(name, grid, None if empty else partial(timm_weights, name))
    return transformers_tower(vision, grid, empty, remote)


def timm_name(vision: str) -> str | None:
    """timm's name of a tower, a local-dir: one for a folder of timm's; None for what is not timm's."""
    import timm

    if Path(vision).is_dir():
        file = Path(vision) / "config.json"
        try:
            known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        except ValueError:
            raise InputError(f"{file} is not readable JSON") from None
        return f"local-dir:{vision}" if "architecture" in known and "model_type" not in known else None
    bare = vision.removeprefix("timm:").removeprefix("timm/")
    if timm.is_model(bare):
        return bare
    if bare != vision:
        raise InputError(f"timm has no {bare}{nearest(bare.split('.')[0], timm.list_models())}")
    return None


def timm_weights(name: str) -> "dict[str, Tensor]":
    """timm's pretrained weights, from its hub, its cache or a folder."""
    import timm

    try:
        with quietly():
            found: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # of the hub, the network, a folder without weights
        raise InputError(f"cannot load the weights of {name}: {gist(error)}") from None
    return found


def timm_tower(name: str, grid: int | None, weights: "Callable[[], dict[str, Tensor]] | None") -> Tower:
    """A tower over timm's network `name`; without `weights` it keeps timm's random ones."""
    import timm

    bare = timm.create_model(name, pretrained=False, num_classes=0)
    facts = timm.data.resolve_model_data_config(bare)
    architecture = name if not name.startswith("local-dir:") else str(bare.pretrained_cfg["architecture"])
    model = fitted_tower(architecture.split(".")[0], facts["input_size"][-1], grid)
    if weights is not None:
        _fill(model, weights(), name)
    return Tower(model.eval(), model.config.grid, 0, tuple(facts["mean"]), tuple(facts["std"]), BICUBIC)


def _fill(model: "TimmTowerModel", state: "dict[str, Tensor]", name: str) -> None:
    own = model.backbone.state_dict()
    lacking = [key for key in own if key not in state]
    if lacking:
        raise InputError(f"the weights of {name} lack {len(lacking)} tensors of the network, {lacking[0]} first")
    model.backbone.load_state_dict({key: state[key] for key in own}, strict=True)


def fitted_tower(architecture: str, size: int, grid: int | None) -> "TimmTowerModel":
    """The tower class over a network, its channels and grid found by one look at a blank picture."""
    import torch

    from train.model.towers import TimmTowerConfig, TimmTowerModel

    config = TimmTowerConfig(architecture=architecture, image_size=size, grid=1, normalize=False)
    model: TimmTowerModel = TimmTowerModel(config).eval()
    with torch.no_grad():
        features = model.backbone.forward_features(torch.zeros(1, 3, size, size))
        model.config.hidden_size = model(torch.zeros(1, 3, size, size)).last_hidden_state.shape[-1]
    count = features.numel() // model.config.hidden_size - (getattr(model.backbone, "num_prefix_tokens", 0) or 0)
    model.config.grid = checked_grid(grid or int(count**0.5), size, int(count**0.5))
    model.config.normalize = True
    return model


def checked_grid(grid: int, size: int, most: int) -> int:
    """The grid; ConfigError when it is finer than the features, or one that LLaVA's processor, which knows only whole pixels
    a token, would count otherwise."""
    if grid > most or size // (size // grid) != grid:
        known = ", ".join(str(side) for side in range(1, most + 1) if size // (size // side) == side)
        raise ConfigError(f"the tower has no grid of {grid} x {grid} tokens; use a side of {known}")
    return grid


def transformers_tower(place: str, grid: int | None, empty: bool, remote: bool) -> Tower:
    """The vision half of CLIP, SigLIP or a plain ViT, without its last layer, whose input LLaVA takes as features."""
    offline = check(place, "a vision tower, or a timm name, or embedded")
    config = vision_config(place, offline, remote)
    if grid is not None:
        raise ConfigError(f"{place} has a grid of its own; --grid and --image-tokens are for towers of timm and embedded")
    model = _model(place, config, empty, offline, remote)
    side = int(config.image_size) // int(config.patch_size)
    return Tower(model.eval(), side, extra_tokens(model, side), *_pixels(place, offline))


def vision_config(place: str, offline: bool, remote: bool) -> "PretrainedConfig":
    """The tower's configuration, one layer shorter."""
    from transformers import AutoConfig

    try:
        whole = AutoConfig.from_pretrained(place, local_files_only=offline, trust_remote_code=remote)
    except Exception as error:  # of the hub, the network, a foreign file
        raise unreadable("the tower", place, error, offline) from None
    config = getattr(whole, "vision_config", whole)
    if not all(isinstance(getattr(config, name, None), int) for name in ("image_size", "patch_size", "num_hidden_layers")):
        raise ConfigError(
            f"{place} is a {whole.model_type} and no tower that can serve; use CLIP, SigLIP or another ViT of transformers,"
            " a timm name, or embedded"
        )
    config.num_hidden_layers -= 1
    if hasattr(config, "vision_use_head"):
        config.vision_use_head = False
    return config


def _model(place: str, config: "PretrainedConfig", empty: bool, offline: bool, remote: bool) -> "PreTrainedModel":
    import torch
    from transformers import AutoModel

    if empty:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModel.from_config(config, trust_remote_code=remote)
        return model
    try:
        with quietly():
            model, told = AutoModel.from_pretrained(
                place, config=config, local_files_only=offline, trust_remote_code=remote, output_loading_info=True
            )
    except Exception as error:  # of the hub, the network, a foreign file
        raise unreadable("the tower", place, error, offline) from None
    if told["missing_keys"]:
        raise InputError(f"the weights of {place} lack {sorted(told['missing_keys'])[0]}; give a complete model")
    return model


def extra_tokens(model: "PreTrainedModel", side: int) -> int:
    """Hidden states of a picture beyond its grid; ConfigError unless that is none, or one class token."""
    import torch

    size = int(model.config.image_size)
    probe = torch.zeros(1, 3, size, size, dtype=model.dtype, device=model.device)
    with torch.no_grad():
        states = model(pixel_values=probe, output_hidden_states=True).hidden_states
    extra = (states[-1].shape[1] if states else -1) - side**2
    if extra not in (0, 1):
        raise ConfigError(f"{type(model).__name__} gives no grid of {side} x {side} tokens behind at most a class token")
    return int(extra)


def _pixels(place: str, offline: bool) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Mean, standard deviation and interpolation of the tower's pictures."""
    from transformers import AutoImageProcessor

    try:
        found = AutoImageProcessor.from_pretrained(place, local_files_only=offline)
    except Exception as error:  # of the hub, the network, a foreign file
        raise InputError(f"{place} has no image processor beside its tower: {gist(error)}") from None
    return tuple(found.image_mean), tuple(found.image_std), int(getattr(found, "resample", BICUBIC) or BICUBIC)


def load_causal(lm: str, empty: bool, embedded: Embedded | None = None, remote: bool = False) -> Causal:
    """The language model called `lm` in its own dtype: embedded, a folder or a hub name. With `empty` it lies on the meta
    device. InputError where there is none, ConfigError for one that is not causal."""
    place = str(embedded_or_error(embedded).language_model()) if lm == EMBEDDED else lm
    offline = check(place, "a causal language model, or embedded")
    config = causal_config(place, offline, remote)
    model = _causal(place, config, empty, offline, remote)
    return Causal(model.eval(), _tokenizer(place, offline, remote))


def causal_config(place: str, offline: bool, remote: bool) -> "PretrainedConfig":
    """The language model's configuration; ConfigError unless each of its positions sees only those before it."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED,
    )

    try:
        config = AutoConfig.from_pretrained(place, local_files_only=offline, trust_remote_code=remote)
    except Exception as error:  # of the hub, the network, a foreign file
        raise unreadable("the language model", place, error, offline) from None
    kind = config.model_type
    looks_back = (kind in CAUSAL or remote) and not getattr(config, "is_encoder_decoder", False)
    if not looks_back or (kind in MASKED and not getattr(config, "is_decoder", False)) or hasattr(config, "vision_config"):
        raise ConfigError(f"{place} is a {kind}, no causal language model; give one such as Llama, Qwen or SmolLM")
    return config


def _causal(place: str, config: "PretrainedConfig", empty: bool, offline: bool, remote: bool) -> "PreTrainedModel":
    import torch
    from transformers import AutoModelForCausalLM

    if empty:
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=remote)
        return model
    try:
        with quietly():
            model, told = AutoModelForCausalLM.from_pretrained(
                place, local_files_only=offline, trust_remote_code=remote, output_loading_info=True
            )
    except Exception as error:  # of the hub, the network, a foreign file
        raise unreadable("the language model", place, error, offline) from None
    if told["missing_keys"]:
        raise InputError(f"the weights of {place} lack {sorted(told['missing_keys'])[0]}; give a complete model")
    return model


def _tokenizer(place: str, offline: bool, remote: bool) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    try:
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            place, local_files_only=offline, trust_remote_code=remote
        )
    except Exception as error:  # of the hub, the network, a foreign file
        raise InputError(f"{place} has no tokenizer beside its language model: {gist(error)}") from None
    return found
