"""Hidden states of a frozen decoder at chosen layers. Layers behind the last chosen one are not computed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from curate.errors import ConfigError


class _Enough(Exception):
    """Raised inside the decoder when all that was asked for is there."""


def depth_of(decoder: nn.Module) -> int:
    """Layers of a decoder; ConfigError where it keeps them elsewhere than in `layers`."""
    return len(_layers(decoder))


def _layers(decoder: nn.Module) -> nn.ModuleList:
    layers = getattr(decoder, "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise ConfigError(f"{type(decoder).__name__} has no list of layers that AIM could read behind")
    return layers


@torch.no_grad()  # type: ignore[untyped-decorator]
def states_of(decoder: nn.Module, wanted: Sequence[int], **inputs: Any) -> Tensor:
    """[B, L, len(wanted), D] states behind layers: 0 the embeddings, depth the last one and the norm behind it."""
    layers, found = _layers(decoder), dict[int, Tensor]()
    last = max(wanted)

    def keep(number: int) -> Any:
        def hook(_module: nn.Module, given: Any, named: Any) -> None:
            found[number] = given[0] if given else named["hidden_states"]
            if number == last:
                raise _Enough

        return hook

    hooks = [
        layers[number].register_forward_pre_hook(keep(number), with_kwargs=True)
        for number in set(wanted)
        if number < len(layers)
    ]
    try:
        made = decoder(**inputs, use_cache=False)
        found[len(layers)] = made.last_hidden_state
    except _Enough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([found[number] for number in wanted], 2).detach()
