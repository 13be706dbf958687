"""The one thing that AIM trains: from hidden states to vectors that stand where words stand."""

from collections.abc import Collection, Iterable
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from train.model.aim.settings import AimSettings

EPS = 1e-6


class Projection(nn.Module):  # type: ignore[misc]
    """H [n, layers, D] to V [n, D] in float32: states normed by their size, mixed over layers or laid side by side, projected,
    given the size of word embeddings. The linear layer works between vectors of size 1, so that one learning rate suits models
    of any size of words. D * D + D parameters; one more for each layer of a mix, D * D for each side by side."""

    size: Tensor

    def __init__(self, width: int, layers: int, settings: "AimSettings") -> None:
        super().__init__()
        self.settings = settings
        self.fresh = True
        """Whether it has learned nothing yet."""

        apart = layers if settings.combine == "concat" else 1
        self.linear = nn.Linear(apart * width, width)
        self.mix = nn.Parameter(torch.zeros(layers, 1)) if layers > 1 and apart == 1 else None
        self.register_buffer("size", torch.ones(()))

    def mixed(self, states: Tensor) -> Tensor:
        """[n, D] or [n, layers * D] float32 what the projection is applied to."""
        normed = unit_size(states.float())
        return normed.flatten(1) if self.mix is None else (normed * self.mix.softmax(0)).sum(1)

    def forward(self, states: Tensor) -> Tensor:
        """[n, D] of states [n, layers, D]."""
        with torch.autocast(states.device.type, enabled=False):
            made: Tensor = self.linear(self.mixed(states))
            return (unit_size(made) if self.settings.rescale else made) * self.size


def unit_size(vectors: Tensor) -> Tensor:
    """Vectors [..., D] of root mean square 1."""
    return vectors * (vectors.square().mean(-1, keepdim=True) + EPS).rsqrt()


def pooled(vectors: Tensor, groups: Tensor) -> Tensor:
    """[g, D] means of vectors [n, D] by their group [n], numbered from 0 in ascending order."""
    count = int(groups[-1]) + 1 if len(groups) else 0
    if count == len(groups):
        return vectors
    sums = vectors.new_zeros(count, vectors.shape[1]).index_add(0, groups, vectors)
    return sums / torch.bincount(groups, minlength=count)[:, None]


def groups_of(kinds: Iterable[Iterable[int]], pool: int, verbatim: Collection[int] = ()) -> list[int]:
    """For the kinds of each demonstration's kept words, which token of the prompt the state on each goes into: up to `pool`
    neighbours of a kind share one, but for kinds that stand as they are."""
    found: list[int] = []
    start = 0
    for kind, run in ((kind, list(run)) for one in kinds for kind, run in groupby(one)):
        room = 1 if kind in verbatim else pool
        found += [start + at // room for at in range(len(run))]
        start += -(-len(run) // room)
    return found
