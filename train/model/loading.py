"""A model from a folder, a hub name, or what one of our runs or exports left."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import ConfigError, InputError
from train.model.places import check, gist, quietly, unreadable

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from train.checkpoint import Start
    from train.config import ComputeSettings


def load_model(place: str, compute: "ComputeSettings", remote_code: bool = False) -> "PreTrainedModel":
    """The model in float32 on the CPU, in evaluation mode, its language model with the attention that `compute` asks for.

    `place` is a folder or a hub name of a transformers model, a run's folder (its newest checkpoint, adapters merged), one of
    its checkpoints, or an export's folder. InputError where there is none, ConfigError where its attention cannot be had.
    """
    from train.checkpoint import weights_of

    start = weights_of(place)
    model = _loaded(start.base, remote_code)
    attach_projections(model, start)
    start.lay_over(model)
    use_attention(model, attention_of(compute))
    return model.eval()


def attach_projections(model: "PreTrainedModel", start: "Start") -> None:
    """Puts a projection on a model where a run of the stage aim is among those that made it, or an export has one."""
    from train.checkpoint.weights import Layer
    from train.model.aim.loading import attach, read_projection, settings_of

    read_projection(model, Path(start.base))
    for layer in start.layers:
        settings = settings_of(layer.run) if isinstance(layer, Layer) else None
        if settings is not None:
            attach(model, settings).fresh = False


def empty_model(place: str, remote_code: bool = False) -> "PreTrainedModel":
    """The same architecture on the meta device: no weights are read."""
    import torch
    from transformers import AutoModelForImageTextToText

    from train.checkpoint import weights_of

    base = weights_of(place).base
    config = _config(base, check(base, "a vision-language model"), remote_code)
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForImageTextToText.from_config(config, trust_remote_code=remote_code)
    return model.eval()


def _loaded(place: str, remote_code: bool) -> "PreTrainedModel":
    """From files: every weight that the model has must be there. Adapters that lie beside them are merged."""
    import torch
    from transformers import AutoModelForImageTextToText

    from train.model.tuning import merge_adapters

    offline = check(place, "a vision-language model")
    config = _config(place, offline, remote_code)
    options: dict[str, Any] = {"dtype": torch.float32, "local_files_only": offline, "trust_remote_code": remote_code}
    try:
        with quietly():
            model, told = AutoModelForImageTextToText.from_pretrained(
                place, config=config, output_loading_info=True, **options
            )
    except Exception as error:  # of the hub, the network, a foreign or torn file
        raise unreadable("the model", place, error, offline) from None
    wanting = sorted(told["missing_keys"]) or sorted(str(key) for key in told.get("mismatched_keys") or ())
    if wanting:
        raise InputError(f"the weights of {place} lack {len(wanting)} tensors of the model, {wanting[0]} first")
    return merge_adapters(model)


def _config(place: str, offline: bool, remote_code: bool) -> "PretrainedConfig":
    """ConfigError for a model that takes no pictures with a text."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    import train.model.towers  # noqa: F401  makes our towers known

    try:
        config = AutoConfig.from_pretrained(place, local_files_only=offline, trust_remote_code=remote_code)
    except Exception as error:  # of the hub, the network, a foreign file
        raise unreadable("the model", place, error, offline) from None
    own_code = remote_code and "AutoModelForImageTextToText" in (getattr(config, "auto_map", None) or {})
    if type(config) not in AutoModelForImageTextToText._model_mapping and not own_code:
        raise ConfigError(
            f"{place} is a {config.model_type}, no vision-language model; `curate assemble` joins a tower and a language model"
        )
    return config


def attention_of(compute: "ComputeSettings") -> str:
    """The attention function that is asked for, `auto` resolved."""
    import torch

    if compute.attention != "auto":
        return compute.attention
    gpu = compute.device == "cuda" or (compute.device == "auto" and torch.cuda.is_available())
    return "sdpa" if gpu or compute.compile else "segmented"


def use_attention(model: "PreTrainedModel", attention: str) -> None:
    """The language model attends by the function called `attention`; towers keep theirs. ConfigError where it cannot."""
    import train.model.segmented  # noqa: F401  makes ours known

    text = model.config.get_text_config(decoder=True)
    own = [name for name in model.config.sub_configs if getattr(model.config, name, None) is text]
    try:
        model.set_attn_implementation({own[0]: attention} if own else attention)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{type(model).__name__} has no {attention} attention: {gist(error)}") from None
    if text._attn_implementation != attention:
        raise ConfigError(f"{type(model).__name__} has no {attention} attention; set compute.attention to sdpa or eager")
