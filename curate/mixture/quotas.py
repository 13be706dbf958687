"""Quotas: what a spec asks for, turned into demands that are linear in the draws.

A demand says: inside `within`, value v of `axis` shall have share s_v of the units. With x_c draws of cell c and
u_c units a draw that is, for every v,

    sum(x_c u_c for c in within with value v) = s_v * sum(x_c u_c for c in within),

which is linear and homogeneous in x, whatever the nesting.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, field_validator

from curate.errors import ConfigError
from curate.mixture.cells import AXES, Cells, Within, check_axis
from curate.registry import nearest
from curate.settings import Settings


@dataclass(frozen=True)
class Demand:
    """Shares that the values of one axis shall have inside `within`."""

    axis: str
    within: Within
    shares: dict[str, float]  # value -> share of the units inside `within`, sums to 1; values not named get none


def value_name(value: Any) -> str:
    """A value as its name: YAML reads 0 as a number and a bare yes as true."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _named(within: Any) -> Any:
    return {axis: value_name(value) for axis, value in within.items()} if isinstance(within, Mapping) else within


Named = Annotated[dict[str, str], BeforeValidator(_named)]
"""axis -> value, the value as its name."""


class Share(Settings):
    """One value's share, with quotas that hold inside it."""

    share: float = Field(ge=0, allow_inf_nan=False)
    then: tuple["Quota", ...] = ()


class Quota(Settings):
    """Shares of the values of one axis, on the whole plan or inside a part of it."""

    axis: str
    shares: Literal["uniform", "natural"] | dict[str, Share]
    """Relative weights by value; uniform = all values alike; natural = as the data are, tempered."""
    within: Named = Field(default={})
    """axis -> value: the part of the plan of which the shares are shares."""
    temperature: float | None = Field(default=None, gt=0)
    """Natural shares p ~ n^(1/T); None takes the spec's."""

    @field_validator("shares", mode="before")
    @classmethod
    def _shares(cls, shares: Any) -> Any:
        if not isinstance(shares, Mapping):
            return shares
        return {value_name(value): _share(share) for value, share in shares.items()}


def _share(share: Any) -> Any:
    return {"share": share} if isinstance(share, int | float) and not isinstance(share, bool) else share


def asked_axes(quotas: Sequence[Quota], also: Iterable[str] = ()) -> list[str]:
    """Axes that quotas (nested ones too) and `also` speak of, in AXES order; ConfigError for an unknown one."""
    asked = {*also, *(axis for quota in quotas for axis in _axes(quota))}
    for axis in sorted(asked):
        check_axis(axis)
    return [axis for axis in AXES if axis in asked]


def _axes(quota: Quota) -> Iterator[str]:
    yield quota.axis
    yield from quota.within
    for share in _listed(quota).values():
        for inner in share.then:
            yield from _axes(inner)


def _listed(quota: Quota) -> dict[str, Share]:
    return quota.shares if isinstance(quota.shares, dict) else {}


def demands(
    cells: Cells,
    quotas: Sequence[Quota] = (),
    *,
    weights: Mapping[str, float | None] | None = None,
    replay: float | Literal["full"] | None = None,
    scheduled: Mapping[str, Mapping[str, float]] | None = None,
    temperature: float = 1.0,
) -> list[Demand]:
    """Everything asked for, as demands on `cells`.

    `weights`: source -> weight, None for a source without one (a quota on `source` over the whole plan stands
    above them); `replay`: share of the plan from replay sources; `scheduled`: axis -> shares over the whole plan
    that its schedule needs (curriculum.averages). Needs the axes `source` and `replay` in `cells` when weights and
    a replay share are given. ConfigError for an unknown axis, shares that sum to 0, or an axis asked for twice in
    the same part of the plan.
    """
    asked = [demand for quota in quotas for demand in _unfold(quota, cells, (), temperature)]
    asked += [Demand(axis, (), normalised(axis, shares)) for axis, shares in (scheduled or {}).items()]
    asked += _replay(asked, replay)
    if weights and not any(demand.axis == "source" and not demand.within for demand in asked):
        asked += _sources(cells, weights, replay, temperature)
    _check(cells, asked)
    return asked


def _unfold(quota: Quota, cells: Cells, outer: Within, temperature: float) -> Iterator[Demand]:
    """A quota and those nested in it, outermost first."""
    cells.require(quota.axis)
    within = outer + tuple(quota.within.items())
    shares = _shares(quota, cells, within, temperature)
    if shares:
        yield Demand(quota.axis, within, shares)
    for value, share in _listed(quota).items():
        for inner in share.then:
            yield from _unfold(inner, cells, (*within, (quota.axis, value)), temperature)


def _shares(quota: Quota, cells: Cells, within: Within, temperature: float) -> dict[str, float]:
    if isinstance(quota.shares, dict):
        return normalised(quota.axis, {value: share.share for value, share in quota.shares.items()})
    available = units_by_value(cells, quota.axis, within)
    if not available and quota.within:
        part = ", ".join(f"{axis}={value}{nearest(value, cells.values[axis])}" for axis, value in within)
        raise ConfigError(f"the quota on {quota.axis!r} is for {part}, and the data hold nothing there")
    if quota.shares == "uniform":
        return dict.fromkeys(available, 1 / len(available)) if available else {}
    return tempered(available, quota.temperature or temperature)


def units_by_value(cells: Cells, axis: str, within: Within) -> dict[str, float]:
    """value -> units available inside `within`; only values that occur there."""
    inside = cells.inside(within) & (cells.samples > 0)
    held = np.bincount(cells.axes[axis][inside], (cells.samples * cells.units)[inside], len(cells.values[axis]))
    return {value: float(units) for value, units in zip(cells.values[axis], held, strict=True) if units > 0}


def tempered(available: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Shares p ~ n^(1/T): T = 1 keeps the natural ones, T -> infinity makes them uniform.

    The exponent form is that of multilingual BERT and XLM (Conneau & Lample, 2019), with alpha = 1/T.
    """
    most = max(available.values(), default=1.0)
    powers = {value: (units / most) ** (1 / temperature) for value, units in available.items()}
    return {value: power / sum(powers.values()) for value, power in powers.items()}


def normalised(axis: str, weights: Mapping[str, float]) -> dict[str, float]:
    """Weights as shares that sum to 1; ConfigError when they cannot."""
    total = sum(weights.values())
    if not 0 < total < float("inf") or min(weights.values()) < 0:
        raise ConfigError(f"the shares of {axis!r} are {dict(weights)}; they must be 0 or more, and not all 0")
    return {value: weight / total for value, weight in weights.items()}


def _replay(asked: Sequence[Demand], replay: float | Literal["full"] | None) -> list[Demand]:
    """The replay share as a demand; ConfigError when a quota or schedule asks for another one."""
    if replay is None or replay == "full":
        return []
    mine = Demand("replay", (), {"yes": replay, "no": 1 - replay})
    for other in asked:
        if other.axis == "replay" and not other.within:
            share = other.shares.get("yes", 0.0)
            if abs(share - replay) > 1e-6:
                raise ConfigError(
                    f"replay asks for {replay:.1%} and another quota or schedule for {share:.1%}; give one of them"
                )
            return []
    return [mine]


def _sources(
    cells: Cells, weights: Mapping[str, float | None], replay: float | Literal["full"] | None, temperature: float
) -> list[Demand]:
    """Demands on `source`; with a replay share, replay sources are weighed among themselves.

    What is drawn in full cannot be tempered, so only weights that somebody gave make a demand on a full replay.
    """
    if replay is None:
        return _among(cells, weights, (), temperature)
    replayed = set(units_by_value(cells, "source", (("replay", "yes"),)))
    rest = {name: weight for name, weight in weights.items() if name not in replayed}
    again = {name: weight for name, weight in weights.items() if name in replayed}
    return [
        *_among(cells, rest, (("replay", "no"),), temperature),
        *_among(cells, again, (("replay", "yes"),), 1.0 if replay == "full" else temperature),
    ]


def _among(cells: Cells, weights: Mapping[str, float | None], within: Within, temperature: float) -> list[Demand]:
    """The demand on the sources in a part; none where weights and temperature leave them as they are."""
    if len(weights) < 2 or (temperature == 1 and all(weight is None for weight in weights.values())):
        return []
    return [Demand("source", within, _weighed(cells, dict(sorted(weights.items())), within, temperature))]


def _weighed(cells: Cells, weights: Mapping[str, float | None], within: Within, temperature: float) -> dict[str, float]:
    """Sources without weight keep their tempered natural share; the others divide the rest by weight."""
    natural = tempered(units_by_value(cells, "source", within), temperature)
    given = {name: weight for name, weight in weights.items() if weight is not None}
    plain = {name: natural.get(name, 0.0) for name in weights if name not in given}
    rest = 1 - sum(plain.values())
    divided = normalised("source", given) if given else {}
    return normalised("source", plain | {name: rest * share for name, share in divided.items()})


def _check(cells: Cells, asked: Sequence[Demand]) -> None:
    seen = set()
    for demand in asked:
        for axis in (demand.axis, *(axis for axis, _ in demand.within)):
            cells.require(axis)
        part = frozenset(demand.within)
        if (demand.axis, part) in seen:
            where = f" inside {place(demand.within)}" if demand.within else ""
            raise ConfigError(f"the shares of {demand.axis!r}{where} are asked for twice; keep one of the two")
        seen.add((demand.axis, part))


def place(within: Within) -> str:
    """A part of the plan in words: 'format=caption, shots=2'."""
    return ", ".join(f"{axis}={value}" for axis, value in within)
