"""Controlled rounding: whole numbers near real ones, whose sums over every margin are near the real sums.

Exact controlled rounding exists for two margins and not always for more (Causey, Cox & Ernst, 1985), so this
starts from a rounding that keeps the sums of the largest margin (cumulative rounding along the sorted cells) and
then trades single units between two cells as long as the squared errors of all margins together fall.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curate.mixture.cells import Floats, Ints, sums_by

NEARNESS = 0.01
"""Weight of a cell's own error beside those of the margins."""
GAIN = 0.1
"""Least fall of the squared errors that is worth a trade; more than nearness alone can give."""
TRADES = 20_000
"""Bound on the trades, far above what 50,000 cells need."""


def rounded(
    real: Floats, low: Ints, high: Ints, margins: Sequence[Ints], units: Floats | None = None, total: int | None = None
) -> Ints:
    """[C] whole numbers in low..high near `real`, whose sum is `total` (None: that of `real`) where the bounds allow it.

    `margins`: [C] codes, -1 for cells outside the margin. `units`: [C] size of one unit of each cell, when the
    sums to keep are sums of units (then the total is kept to within one unit).
    """
    codes = [_dense(margin) for margin in margins]
    units = np.ones(len(real)) if units is None else units / max(float(units.mean()), 1e-300)
    start = _cumulative(real, codes)
    total = int(np.round(real.sum() + 1e-9)) if total is None else total
    start = _to_total(np.clip(start, low, high), real, low, high, total)
    return _traded(_Trade(start, real, low, high, [np.zeros(len(real), dtype=np.int64), *codes], units))


def _dense(codes: Ints) -> Ints:
    """Codes as 0.., with a code of their own for cells outside."""
    return np.unique(codes, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _cumulative(real: Floats, codes: Sequence[Ints]) -> Ints:
    """Differences of the rounded running sum, cells sorted by the finest margin first: its sums stay within one."""
    by_size = sorted(codes, key=lambda margin: int(margin.max(initial=0)))
    order = np.lexsort(by_size) if by_size else np.arange(len(real))
    running = np.round(np.cumsum(real[order]) + 1e-9)
    whole = np.empty(len(real), dtype=np.int64)
    whole[order] = np.diff(running, prepend=0.0).astype(np.int64)
    return whole


def _to_total(whole: Ints, real: Floats, low: Ints, high: Ints, total: int) -> Ints:
    """`whole` with the sum `total`: units go to, or come from, the cells that are furthest behind or ahead."""
    whole = whole.copy()
    total = int(np.clip(total, low.sum(), high.sum()))
    while (missing := total - int(whole.sum())) != 0:
        step = 1 if missing > 0 else -1
        room = whole < high if step > 0 else whole > low
        behind = np.where(room, step * (real - whole), -np.inf)
        first = np.argsort(-behind, kind="stable")[: min(abs(missing), int(room.sum()))]
        whole[first] += step
    return whole


@dataclass
class _Trade:
    whole: Ints
    real: Floats
    low: Ints
    high: Ints
    codes: list[Ints]
    units: Floats

    def __post_init__(self) -> None:
        self.off = [
            sums_by(margin, (self.whole - self.real) * self.units, int(margin.max(initial=0)) + 1) for margin in self.codes
        ]

    def cost(self, step: int) -> Floats:
        """[C] change of the squared errors when a cell gets `step` units more; inf where it may not."""
        change = NEARNESS * (2 * step * (self.whole - self.real) + 1)
        for off, margin in zip(self.off, self.codes, strict=True):
            change += 2 * step * self.units * off[margin] + self.units**2
        room = self.whole < self.high if step > 0 else self.whole > self.low
        return np.where(room, change, np.inf)

    def give(self, cell: int, step: int) -> None:
        self.whole[cell] += step
        for off, margin in zip(self.off, self.codes, strict=True):
            off[margin[cell]] += step * self.units[cell]


def _traded(trade: _Trade) -> Ints:
    """Trades a unit from one cell to another, the best one first, until none is found that lowers the errors."""
    for _ in range(TRADES if len(trade.real) else 0):
        if not (_trade(trade, 1) or _trade(trade, -1)):
            break
    return trade.whole


def _trade(trade: _Trade, step: int) -> bool:
    """Gives `step` where that helps most, takes it back where that then costs least; False, and undone, if no gain."""
    costs = trade.cost(step)
    first = int(costs.argmin())
    if not np.isfinite(costs[first]):
        return False
    trade.give(first, step)
    back = trade.cost(-step)
    back[first] = np.inf
    second = int(back.argmin())
    if costs[first] + back[second] > -GAIN:
        trade.give(first, -step)
        return False
    trade.give(second, -step)
    return True
