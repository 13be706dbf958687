"""Quotas: what a spec asks for, turned into demands that are linear in the draws.

A demand says: inside `within`, value v of `axis` shall have share s_v of the units. With x_c draws of cell c and
u_c units a draw that is, for every v,

    sum(x_c u_c for c in within with value v) = s_v * sum(x_c u_c for c in within),

which is linear and homogeneous in x, whatever the nesting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from curate.mixture.cells import Cells, Within
from curate.settings import Settings


@dataclass(frozen=True)
class Demand:
    """Shares that the values of one axis shall have inside `within`."""

    axis: str
    within: Within
    shares: dict[str, float]  # value -> share of the units inside `within`, sums to 1; values not named get none


class Share(Settings):
    """One value's share, with quotas that hold inside it."""

    share: float = Field(ge=0, allow_inf_nan=False)
    then: tuple["Quota", ...] = ()


class Quota(Settings):
    """Shares of the values of one axis, on the whole plan or inside a part of it."""

    axis: str
    shares: Literal["uniform", "natural"] | dict[str, Share]
    """Relative weights by value; uniform = all values alike; natural = as the data are, tempered."""
    within: dict[str, str] = Field(default={})
    """axis -> value: the part of the plan of which the shares are shares."""
    temperature: float | None = Field(default=None, gt=0)
    """Natural shares p ~ n^(1/T); None takes the spec's."""

    @field_validator("shares", mode="before")
    @classmethod
    def _shares(cls, shares: Any) -> Any:
        if not isinstance(shares, Mapping):
            return shares
        return {value_name(value): _share(share) for value, share in shares.items()}

    @field_validator("within", mode="before")
    @classmethod
    def _within(cls, within: Any) -> Any:
        if not isinstance(within, Mapping):
            return within
        return {axis: value_name(value) for axis, value in within.items()}


def value_name(value: Any) -> str:
    """A value as its name: YAML reads 0 as a number and a bare yes as true."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _share(share: Any) -> Any:
    return {"share": share} if isinstance(share, int | float) and not isinstance(share, bool) else share


def with_preset(preset: Sequence[Quota], own: Sequence[Quota]) -> list[Quota]:
    """The preset's quotas under the spec's own: a quota of the spec on an axis replaces the preset's on it."""
    raise NotImplementedError


def asked_axes(quotas: Sequence[Quota], also: Sequence[str] = ()) -> list[str]:
    """Axes that quotas (nested ones too) and `also` speak of, in AXES order; ConfigError for an unknown one."""
    raise NotImplementedError


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

    `weights`: source -> weight, None for a source without one; `replay`: share of the plan from replay sources;
    `scheduled`: axis -> shares over the whole plan that its schedule needs (curriculum.averages). Needs the axes
    `source` and `replay` in `cells` when weights and a replay share are given. ConfigError for an unknown axis,
    shares that sum to 0, or one axis asked for twice in the same part.
    """
    raise NotImplementedError
