"""Towers of timm as transformers models, so that a LLaVA layout can hold a convolutional network.

`import train.model.towers` makes them known to AutoConfig and AutoModel; after it, plain transformers loads a folder that
has one. The feature map becomes a grid of tokens, pooled to a smaller grid if asked, and each token is standardised over
its channels, since features of a network with ReLU lie far from what a projector is initialised for.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, layer_norm
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

if TYPE_CHECKING:
    from torch import Tensor


class TimmTowerConfig(PreTrainedConfig):  # type: ignore[misc]
    """A network of timm by its name there, and what its features become."""

    model_type = "shotcraft_timm_tower"

    architecture: str = "resnet50"
    """Name in timm, without a tag of weights."""

    model_args: dict[str, Any] | None = None
    """Further arguments of timm.create_model, such as img_size."""

    image_size: int = 224
    """Side of the pictures in pixels."""

    hidden_size: int = 2048
    """Channels of the features."""

    grid: int = 7
    """Side of the grid of tokens: a picture gives grid * grid of them."""

    normalize: bool = True
    """Standardise every token over its channels; there is nothing to learn in it."""

    initializer_range: float = 0.02

    @property
    def patch_size(self) -> int:
        """Pixels that a token covers, as LLaVA's processor counts them."""
        return self.image_size // self.grid


class TimmTowerModel(PreTrainedModel):  # type: ignore[misc]
    """Pictures [B, 3, S, S] to hidden_states = (tokens [B, grid * grid, D],)."""

    config_class = TimmTowerConfig
    base_model_prefix = "timm_tower"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _supports_sdpa = True  # it chooses nothing by this, and without it a whole model refuses the choice
    _supports_flash_attn = True
    _supports_flex_attn = True
    _can_compile_fullgraph = False

    def __init__(self, config: TimmTowerConfig) -> None:
        import timm

        super().__init__(config)
        self.backbone = timm.create_model(
            config.architecture, pretrained=False, num_classes=0, global_pool="", **(config.model_args or {})
        )
        self.post_init()

    def forward(self, pixel_values: "Tensor", **_: Any) -> BaseModelOutputWithPooling:
        """`hidden_states` has one entry, also for a caller that asks for several layers."""
        dtype = next(self.backbone.parameters()).dtype
        pixels = pixel_values.to(dtype, memory_format=torch.channels_last)  # a third quicker through convolutions
        tokens = self._tokens(self.backbone.forward_features(pixels))
        if self.config.normalize:
            tokens = layer_norm(tokens, tokens.shape[-1:])
        return BaseModelOutputWithPooling(last_hidden_state=tokens, hidden_states=(tokens,))

    def _tokens(self, features: "Tensor") -> "Tensor":
        """[B, grid * grid, D] of a network's own layout: [B, D, H, W], [B, H, W, D], or [B, prefix + H * W, D]."""
        if features.ndim == 3:
            patches = features[:, getattr(self.backbone, "num_prefix_tokens", 0) :]
            side = int(patches.shape[1] ** 0.5)
            features = patches.transpose(1, 2).unflatten(2, (side, side))
        elif getattr(self.backbone, "output_fmt", "NCHW") == "NHWC":
            features = features.permute(0, 3, 1, 2)
        if features.shape[2:] != (self.config.grid, self.config.grid):
            features = adaptive_avg_pool2d(features, self.config.grid)
        return features.flatten(2).transpose(1, 2)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _init_weights(self, module: nn.Module) -> None:
        """timm has initialised its own; only buffers that no file holds are lost when a model is loaded, and come back."""
        refill = getattr(module, "init_non_persistent_buffers", None)
        if refill is not None:
            refill()

    def get_input_embeddings(self) -> None:
        """A convolution reads the pixels: there are none."""


def register() -> None:
    """Makes the towers known to AutoConfig and AutoModel; again is no harm."""
    AutoConfig.register(TimmTowerConfig.model_type, TimmTowerConfig, exist_ok=True)
    AutoModel.register(TimmTowerConfig, TimmTowerModel, exist_ok=True)


register()
