"""What there is to mix: the sources of a sweep, scanned once, as simplices with a prior, bounds and caps."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curate.errors import ConfigError
from curate.mixture.axes import band_edges, coded, grouped
from curate.mixture.cells import Cells, Within
from curate.mixture.compose import sample_units
from curate.mixture.curriculum import averages
from curate.mixture.quotas import Demand, asked_axes, demands, place, units_by_value
from curate.mixture.settings import MixSpec
from curate.mixture.sources import Source
from curate.mixture.stock import Stock
from pipelines.sweep.designs.geometry import nearest
from pipelines.sweep.settings import AxisSettings, SweepSpec, unknown
from pipelines.sweep.space import EXACT, Choice, Point, Simplex, Space

REPLAYED, FRESH = (("replay", "yes"),), (("replay", "no"),)


@dataclass(frozen=True)
class Held:
    """A mix file and the samples of its sources."""

    spec: MixSpec
    sources: list[Source]
    stock: Stock
    swept: tuple[str, ...]  # axes

    @cached_property
    def cells(self) -> Cells:
        """Samples grouped by all axes that anything speaks of."""
        spec, stock = self.spec, self.stock
        wanted = asked_axes(spec.quotas, {*spec.scheduled_axes, *self.swept, "source", "replay"})
        edges = band_edges(stock, spec.bands)
        repeats = {source.name: source.max_repeats for source in self.sources}
        codes, words = stock.words("source")
        limits = np.array([repeats[word] for word in words], np.int64)[codes]
        axes = {axis: coded(stock, axis, edges) for axis in wanted}
        return grouped(axes, sample_units(stock, spec), limits, np.zeros(len(stock), dtype=bool))[0]

    @cached_property
    def asked(self) -> list[Demand]:
        """The shares that the mix file asks for."""
        spec = self.spec
        weights = {source.name: source.weight for source in self.sources} if len(self.sources) > 1 else None
        replay = None if spec.replay == "full" else spec.replay
        scheduled = averages(spec.curriculum.schedules)
        return demands(
            self.cells, spec.quotas, weights=weights, replay=replay, scheduled=scheduled, temperature=spec.temperature
        )

    @property
    def replays(self) -> bool:
        """Whether sources are weighed apart on either side of the replay."""
        return self.spec.replay is not None or "replay" in self.swept or "replay" in averages(self.spec.curriculum.schedules)

    def within(self, axis: str) -> Within:
        """The part of the plan that an axis divides."""
        if axis == "source":
            return FRESH if self.replays else ()
        quotas = [quota for quota in self.spec.quotas if quota.axis == axis]
        if axis == "replay" or not quotas:
            return ()
        if len(quotas) > 1:
            raise ConfigError(f"mixes.{axis}: the mix file has {len(quotas)} quotas on it; a sweep varies one")
        return tuple(quotas[0].within.items())

    def asked_for(self, axis: str, within: Within) -> dict[str, float]:
        """The mix file's shares on an axis; the natural ones where it asks for none."""
        found = (one for one in self.asked if one.axis == axis and set(one.within) == set(within))
        known = next(found, None)
        return known.shares if known else self.natural(axis, within)

    def natural(self, axis: str, within: Within) -> dict[str, float]:
        """Shares as the data are."""
        if axis == "replay" and self.spec.replay == "full":
            replayed = units_by_value(self.cells, "replay", ()).get("yes", 0.0)
            share = min(1.0, replayed / (self.spec.wanted_size or replayed or 1.0))
            return {"no": 1 - share, "yes": share}
        units = units_by_value(self.cells, axis, within)
        return {name: amount / sum(units.values()) for name, amount in units.items()}

    def share_of(self, within: Within, point: Point | None = None, least: Mapping[str, float] | None = None) -> float:
        """The share of the plan that lies in a part; of a mix where one is given. `least`: the smallest share of replay."""
        share = 1.0
        for axis, value in within:
            if axis == "replay" and point and "replay" in point.shares:
                share *= point.shares["replay"][value]
            elif axis == "replay" and least is not None:
                share *= 1 - least["yes"] if value == "no" else 1 - least["no"]
            else:
                share *= self.asked_for(axis, ()).get(value, 0.0)
        return share


def space_of(spec: SweepSpec, held: Held) -> tuple[Space, list[str]]:
    """What may be tried, and remarks on bounds that the data narrow; ConfigError for bounds that leave nothing."""
    notes: list[str] = []
    if any(quota.axis == "source" and not quota.within for quota in held.spec.quotas) and "source" in spec.mixes:
        raise ConfigError("mixes.source: the mix file has a quota on source, which stands above the weights; take it out")
    simplices = tuple(_simplex(axis, told, held, spec, notes) for axis, told in spec.mixes.items())
    choices = tuple(Choice(name, tuple(levels)) for name, levels in spec.choices.items())
    return Space(simplices, choices), notes


def _simplex(axis: str, told: AxisSettings, held: Held, spec: SweepSpec, notes: list[str]) -> Simplex:
    within = held.within(axis)
    units = units_by_value(held.cells, axis, within)
    prior = _prior(told, axis, held, within)
    for name in (*prior, *(name for side in (told.low, told.high) if isinstance(side, dict) for name in side)):
        if name not in units or name not in prior:
            raise unknown(f"mixes.{axis}" + (f" (inside {place(within)})" if within else ""), name, units)
    if len(prior) < 2:
        raise ConfigError(f"mixes.{axis} has one component, {next(iter(prior), 'none')}; shares of one thing cannot vary")
    held_units = sum(units[name] for name in prior)
    caps = _caps(axis, within, held, spec)
    low = tuple(told.bound("low", name) for name in prior)
    high = tuple(min(told.bound("high", name), caps.get(name, 0.0)) for name in prior)
    _check_bounds(axis, dict(zip(prior, zip(low, high, strict=True), strict=True)), caps)
    natural = tuple(units[name] / held_units for name in prior)
    plain = Simplex(axis, tuple(prior), tuple(prior.values()), natural, low, high)
    notes += [
        f"{axis}={name}: at most {cap:.1%}, or its samples would repeat more often than max_repeats allows"
        for name in prior
        if (cap := caps.get(name, 0.0)) < told.bound("high", name) - EXACT
    ]
    return _with_allowed_prior(plain, notes)


def _prior(told: AxisSettings, axis: str, held: Held, within: Within) -> dict[str, float]:
    """Component -> share."""
    if isinstance(told.prior, dict):
        total = sum(told.prior.values())
        return {name: weight / total for name, weight in told.prior.items()}
    known = held.asked_for(axis, within) if told.prior == "base" else held.natural(axis, within)
    return dict.fromkeys(known, 1 / len(known)) if told.prior == "uniform" else dict(known)


def _caps(axis: str, within: Within, held: Held, spec: SweepSpec) -> dict[str, float]:
    """Largest share of each component: with it every sample stands as often in the plan as it may."""
    cells, size = held.cells, held.spec.wanted_size or 0.0
    replay = spec.mixes.get("replay")
    least = {name: replay.bound("low", name) for name in ("yes", "no")} if replay else None
    part = size * held.share_of(within, least=least)
    inside = cells.inside(within)
    most = np.bincount(cells.axes[axis][inside], (cells.limits * cells.units)[inside], len(cells.values[axis]))
    return {
        name: min(1.0, float(units) / part) if part > 0 else 1.0 for name, units in zip(cells.values[axis], most, strict=True)
    }


def _check_bounds(axis: str, bounds: Mapping[str, tuple[float, float]], caps: Mapping[str, float]) -> None:
    for name, (low, high) in bounds.items():
        if low > high + EXACT:
            why = (
                f"the data hold no more than {caps[name]:.1%} of such a plan" if high == caps.get(name) else "high is below it"
            )
            raise ConfigError(f"mixes.{axis}: {name} cannot have a share of {low:.1%} or more: {why}")
    if sum(low for low, _ in bounds.values()) > 1 + EXACT:
        raise ConfigError(f"mixes.{axis}: the lower bounds sum to more than 1")
    if sum(high for _, high in bounds.values()) < 1 - EXACT:
        raise ConfigError(
            f"mixes.{axis}: upper bounds and caps on repeats sum to {sum(high for _, high in bounds.values()):.2f}, so no mix"
            " fills the plan; give it a smaller size, a larger max_repeats, or wider bounds"
        )


def _with_allowed_prior(simplex: Simplex, notes: list[str]) -> Simplex:
    moved = nearest(simplex, np.array(simplex.prior))
    if np.abs(moved - np.array(simplex.prior)).max() > EXACT:
        shown = ", ".join(f"{name} {share:.1%}" for name, share in zip(simplex.components, moved, strict=True))
        notes.append(f"{simplex.axis}: the prior lies outside the bounds; the nearest mix takes its place: {shown}")
    return Simplex(simplex.axis, simplex.components, tuple(moved.tolist()), simplex.natural, simplex.low, simplex.high)


def repeats_of(held: Held, point: Point) -> dict[str, float]:
    """How often a sample of each source stands in the plan of a mix, on average."""
    size = held.spec.wanted_size or 0.0
    found = {}
    for within in (FRESH, REPLAYED) if held.replays else ((),):
        units = units_by_value(held.cells, "source", within)
        swept = point.shares.get("source") if within in (FRESH, ()) else None
        shares = swept or held.asked_for("source", within)
        part = size * held.share_of(within, point)
        found.update({name: part * shares.get(name, 0.0) / amount for name, amount in units.items()})
    return found
