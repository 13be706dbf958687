"""The projection's first values in closed form: ridge regression from states to what stands for a demonstration's parts.

A state on a word of a demonstration's question is to become the mean of what the model sees in the demonstration's pictures,
one on a word of its answer the embedding of that word, so that the model reads what it knows: a picture, and what it is
called. Where answers alone are kept, a state on one is to become both, as a sum; all in the size of word embeddings:

    W, b = argmin sum_n || W x_n + b - y_n ||^2 + lambda ||W||^2,   lambda = ridge * mean eigenvalue of the covariance of x

Training begins there; from random values it finds nothing.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from train.model.aim.backbone import Backbone, backbone_of
from train.model.aim.forward import OWN, aggregated, projection_of
from train.model.aim.settings import ANSWER, QUESTION

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from train.model.aim.projection import Projection


class Sums:
    """What a regression needs of any number of pairs, in float64: count, sums and products."""

    def __init__(self, inputs: int, outputs: int, device: torch.device) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=device)

        self.count, self.x, self.y = 0, zeros(inputs), zeros(outputs)
        self.xx, self.xy = zeros(inputs, inputs), zeros(inputs, outputs)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Pairs of x [n, inputs] and y [n, outputs]."""
        x, y = x.double(), y.double()
        self.count += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.xx += x.T @ x
        self.xy += x.T @ y

    def solved(self, ridge: float) -> tuple[Tensor, Tensor]:
        """W [outputs, inputs] and b [outputs]."""
        x, y = self.x / self.count, self.y / self.count
        covariance = self.xx / self.count - x.outer(x)
        between = self.xy / self.count - x.outer(y)
        strength = ridge * covariance.diagonal().mean()
        weight = torch.linalg.solve(covariance + strength * torch.eye(len(x), dtype=x.dtype, device=x.device), between).T
        return weight.float(), (y - weight @ x).float()


@torch.no_grad()  # type: ignore[untyped-decorator]
def begin_with_ridge(model: "PreTrainedModel", batches: Iterable[Mapping[str, Tensor]], ridge: float) -> int:
    """Sets the projection of a model by the demonstrations of batches' inputs (train/data/aiming.py); gives how many states
    it was fitted on. Without any the projection stays as it is."""
    backbone, projection = backbone_of(model), projection_of(model)
    assert projection is not None
    linear = projection.linear
    sums = Sums(linear.in_features, linear.out_features, linear.weight.device)
    for inputs in batches:
        own = {name.removeprefix(OWN): tensor for name, tensor in inputs.items() if name.startswith(OWN)}
        if own:
            states, targets = _states(model, backbone, projection, own), _targets(backbone, own)
            kinds = own["kinds"][own["kinds"] > 0]
            learned = ~torch.isin(kinds, torch.tensor(projection.settings.words, device=kinds.device))
            sums.add(states[learned], targets[learned] / projection.size)
    if sums.count:
        weight, bias = sums.solved(ridge)
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    return sums.count


def _states(model: "PreTrainedModel", backbone: Backbone, projection: "Projection", own: Mapping[str, Tensor]) -> Tensor:
    layers = projection.settings.resolved(backbone.depth)
    return projection.mixed(aggregated(model, backbone, own, layers))


def _targets(backbone: Backbone, own: Mapping[str, Tensor]) -> Tensor:
    """[n, D] what the state on each kept word is to become."""
    ids, kinds = own["input_ids"], own["kinds"]
    kept = kinds > 0
    embeds, pictures = backbone.embedded(ids, own).float(), ids == backbone.image_token
    width = int(own["segments"].max()) + 1
    number = own["segments"].long() + width * torch.arange(len(ids), device=ids.device)[:, None]
    sums = embeds.new_zeros(width * len(ids), embeds.shape[-1]).index_add(0, number[pictures], embeds[pictures])
    counts = torch.bincount(number[pictures], minlength=len(sums)).clamp(min=1)
    shown, words, sorts = (sums / counts[:, None])[number[kept]], embeds[kept], kinds[kept][:, None]
    if not (sorts == QUESTION).any():
        return torch.where(sorts == ANSWER, words + shown, words)
    return torch.where((sorts == QUESTION) & (shown != 0).any(-1, keepdim=True), shown, words)
