"""Figures and names of a sweep as people read them."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from curate.report.training.lines import said
from curate.report.wording import short, words
from pipelines.sweep.space import Simplex, Space

NAME = 80
"""Characters of a component or a target."""
CORNER = 22
"""Characters beside a drawing."""


def name_of(text: str, limit: int = NAME) -> str:
    """A name cut to what a page can hold."""
    return short(text, limit)


def label(text: str, limit: int = CORNER) -> str:
    """A name beside a drawing, which has no room for a remark."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def column_name(column: str) -> str:
    """source:emoji -> source emoji."""
    axis, _, component = column.partition(":")
    return f"{words(axis)} {name_of(component)}"


def figure(value: float | None) -> str:
    """A value of a target, four digits."""
    return "–" if value is None else f"−{said(-value)}" if value < 0 else said(value)


def signed(value: float, size: float | None = None) -> str:
    """A difference, +0.012 or −0.3: three digits of its own size, or as many decimals as something of another size has."""
    size = abs(size or value)
    decimals = max(0, 2 - math.floor(math.log10(size))) if size > 1e-12 else 0
    told = f"{abs(value):.{min(decimals, 9)}f}"
    told = told.rstrip("0").rstrip(".") if "." in told else told
    return told if float(told) == 0 else f"{'−' if value < 0 else '+'}{told}"


def between(low: float, high: float) -> str:
    """An interval, both ends with as many decimals."""
    size = max(abs(low), abs(high))
    return f"{signed(low, size)} to {signed(high, size)}"


def within(value: float, low: float, high: float) -> str:
    """A difference with as many decimals as its interval."""
    return signed(value, max(abs(low), abs(high)))


def breakable(name: str) -> Markup:
    """A target's name that may go on in another line after each part."""
    return Markup("/<wbr>").join(name_of(name).split("/"))


def percent(share: float) -> str:
    """A share without its sign: 12.5, 0, 100."""
    return f"{100 * share:.1f}".removesuffix(".0")


def chance(value: float) -> str:
    """A probability; never 0 or 100 %, which nobody knows."""
    return "< 0.1\u00a0%" if value < 0.001 else "> 99.9\u00a0%" if value > 0.999 else f"{100 * value:.3g}\u00a0%"


def p_value(value: float) -> str:
    """p = 0.012, p < 0.001."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def shares_of(one: Simplex, shares: Mapping[str, float]) -> str:
    """70 / 20 / 10, in the order of the components."""
    return " / ".join(percent(shares.get(name, 0.0)) for name in one.components)


def mix(space: Space, point: Mapping[str, Any]) -> str:
    """A mix in a line: axis by axis, shares in per cent, then choices."""
    parts = []
    for one in space.simplices:
        parts.append(f"{words(one.axis)} {shares_of(one, point['shares'].get(one.axis, {}))}")
    parts += [f"{words(name)} {name_of(level)}" for name, level in point["choices"].items()]
    return "; ".join(parts)


def strayed(trials: int, farthest: float) -> str:
    """What is said of trials whose plans are another mix than asked for; the farthest as a share of an axis."""
    who = "1 trial" if trials == 1 else f"{trials} trials"
    why = "as the data could not give it together with the other axes; what they had is fitted"
    return f"{who} had another mix than asked for, by up to {100 * farthest:.0f}\u00a0% of an axis, {why}."
