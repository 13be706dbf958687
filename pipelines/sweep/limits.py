"""How far a proposal may go from the prior, besides the bounds of the space (which hold the repetition caps)."""

from dataclasses import dataclass

import numpy as np

from pipelines.sweep.space import Floats, Simplex, Space

LEAST = 1e-3
"""A prior share below counts as this, or a mix with any of it would be infinitely far."""


@dataclass(frozen=True)
class Limits:
    """A bound and a penalty on the distance to the prior."""

    space: Space
    within: float = 1.0  # total variation: the share of the data that may be another's; of each simplex
    penalty: float = 0.0  # of the response per nat of Kullback-Leibler divergence from the prior, as Olmix has it

    def bounded(self) -> Space:
        """The space, its bounds no wider than `within` of the prior; that each share moves no farther than all of them may is
        necessary, and `penalties` rules out the rest."""
        cut = tuple(self._cut(one) for one in self.space.simplices)
        return Space(cut, self.space.choices)

    def keep(self, rows: Floats) -> Floats:
        """Those of the rows that are allowed."""
        return rows[self.space.allows(rows) & (self.distances(rows) <= self.within + 1e-9)]

    def distances(self, rows: Floats) -> Floats:
        """[k] the largest total variation from the prior over the simplices."""
        farthest = np.zeros(len(rows))
        for block, one in zip(self.space.blocks, self.space.simplices, strict=False):
            farthest = np.maximum(farthest, 0.5 * np.abs(rows[:, block] - np.array(one.prior)).sum(axis=1))
        return farthest

    def penalties(self, rows: Floats) -> Floats:
        """[k] to be taken off a prediction; infinite where it is too far."""
        far = self.distances(rows) > self.within + 1e-9
        return np.where(far, np.inf, self.penalty * self.divergence(rows) if self.penalty else 0.0)

    def divergence(self, rows: Floats) -> Floats:
        """[k] KL(mix || prior) in nats, summed over the simplices."""
        total = np.zeros(len(rows))
        for block, one in zip(self.space.blocks, self.space.simplices, strict=False):
            part, prior = rows[:, block], np.maximum(np.array(one.prior), LEAST)
            total += (part * np.log(np.maximum(part, 1e-300) / (prior / prior.sum()))).sum(axis=1)
        return total

    def _cut(self, one: Simplex) -> Simplex:
        low = tuple(max(low, share - self.within) for low, share in zip(one.low, one.prior, strict=True))
        high = tuple(min(high, share + self.within) for high, share in zip(one.high, one.prior, strict=True))
        return Simplex(one.axis, one.components, one.prior, one.natural, low, high)
