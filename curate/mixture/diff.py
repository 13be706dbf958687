"""Two plans beside each other: which samples they share, and how their shares and orders differ.

A sample is told by the sizes and checksums of its members, so it is the same one wherever its shards lie, also
in the materialised shards of a plan.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate.mixture.axes import Coded, Edges, all_coded, band_edges
from curate.mixture.cells import AXES
from curate.mixture.compose import UNITS
from curate.mixture.stock import Stock
from curate.shards.plans import BANDS, Plan

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class AxisShare:
    """A value's share of two plans, in points of the unit of the first."""

    axis: str
    value: str
    a: float
    b: float

    @property
    def difference(self) -> float:
        """Points that B has more."""
        return self.b - self.a


@dataclass(frozen=True)
class PlanDiff:
    """What two plans have in common. `only_*` and `repeated` count distinct samples."""

    a: int  # samples in the plan, repeats counted
    b: int
    same_samples: bool  # each sample stands in both equally often
    same_order: bool
    same_blocks: bool
    only_a: int
    only_b: int
    repeated: int  # in both, but not equally often
    shared: int  # in both
    shares: tuple[AxisShare, ...]  # every value of every axis that occurs

    @property
    def equal(self) -> bool:
        """Whether a trainer would see no difference."""
        return self.same_samples and self.same_order and self.same_blocks


def diff(a: Plan, b: Plan) -> PlanDiff:
    """How plan `b` differs from plan `a`."""
    first, second = identities(a)[a.order], identities(b)[b.order]
    known = np.unique(np.concatenate([first, second]))
    times_a, times_b = (np.bincount(np.searchsorted(known, each), minlength=len(known)) for each in (first, second))
    return PlanDiff(
        a=len(first),
        b=len(second),
        same_samples=bool((times_a == times_b).all()),
        same_order=len(first) == len(second) and bool((first == second).all()),
        same_blocks=a.manifest.blocks == b.manifest.blocks,
        only_a=int((times_b == 0).sum()),
        only_b=int((times_a == 0).sum()),
        repeated=int(((times_a != times_b) & (times_a > 0) & (times_b > 0)).sum()),
        shared=int(((times_a > 0) & (times_b > 0)).sum()),
        shares=tuple(_shares(a, b)),
    )


def identities(plan: Plan) -> Hashes:
    """[S] a hash of each sample's content: sizes and checksums of its members in order."""
    stock = Stock(plan.samples, plan.members)
    first, lengths = stock.numbers("first").astype(np.int64), stock.numbers("members").astype(np.int64)
    ends = np.cumsum(lengths)
    place = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths)
    rows = np.repeat(first, lengths) + place
    sizes, checks = (stock.members.column(name).to_numpy()[rows].astype(np.uint64) for name in ("size", "crc32"))
    mixed = _mixed(_mixed(sizes << np.uint64(32) ^ checks) + place.astype(np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return _mixed(sums[ends] - sums[ends - lengths])


def _mixed(values: Hashes) -> Hashes:
    """A bijection of 64 bits that spreads every bit over all others (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _shares(a: Plan, b: Plan) -> list[AxisShare]:
    unit = str(a.manifest.report.get("unit", "sample"))
    edges = _edges(a)
    sides = [_held(plan, unit, edges) for plan in (a, b)]
    rows = []
    for axis in AXES:
        names = sorted({*sides[0][axis], *sides[1][axis]}, key=_by_number)
        rows += [AxisShare(axis, name, sides[0][axis].get(name, 0.0), sides[1][axis].get(name, 0.0)) for name in names]
    return rows


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (0, name)


def _edges(plan: Plan) -> Edges:
    """Edges of the bands as the plan's report has them, so that both plans are cut alike."""
    said = plan.manifest.report.get("bands")
    return said if isinstance(said, dict) and set(said) >= set(BANDS) else band_edges(Stock(plan.samples, plan.members), 3)


def _held(plan: Plan, unit: str, edges: Edges) -> dict[str, dict[str, float]]:
    """axis -> value -> share of the plan in points."""
    stock = Stock(plan.samples, plan.members)
    units = np.bincount(plan.order, minlength=len(stock)).astype(np.float64)
    if unit in UNITS:
        units *= stock.numbers(UNITS[unit])
    return {axis: _by_value(column, units) for axis, column in all_coded(stock, edges).items()}


def _by_value(column: Coded, units: npt.NDArray[np.float64]) -> dict[str, float]:
    codes, names = column
    held = np.bincount(codes, units, len(names))
    total = float(held.sum()) or 1.0
    return {name: 100 * float(share) / total for name, share in zip(names, held, strict=True) if share > 0}
