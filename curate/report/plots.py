"""The plots of a surveyed run: similarities, shots, and what the episodes are made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from markupsafe import Markup

from curate.report.charts import Column, Tick, bar, histogram
from curate.report.survey import BIN, BINS, Survey
from curate.report.wording import LONGEST_NAME, share, short, words

ROLES = ("positive", "negative", "support")
"""Roles in the order of their colours; the gallery's badges have the same."""

LONGEST_LIST = 12
"""Rows of a bar list."""

SERIES = 6
"""Series of a stacked plot; the smallest formats share the last one."""


@dataclass(frozen=True)
class Plot:
    """A plot, its legend and the same numbers as a table."""

    title: str
    note: str
    picture: Markup
    legend: Sequence[str]  # series names in the order of their colours, [] for a single series
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class BarList:
    """Counts of the values of one field, largest first."""

    title: str
    rows: Sequence[tuple[str, int, str, Markup]]  # value, count, share of all, bar
    left_out: int  # values that are not shown
    notes: Sequence[str] = field(default_factory=list)


def similarity_plot(found: Survey, limit: float | None) -> Plot | None:
    """Cosines of demonstrations to their queries, stacked by role; `limit` is the guard's. None without any."""
    known = [role for role in ROLES if role in found.roles()]
    roles = known + [role for role in found.roles() if role not in ROLES]
    series = [found.cosine_counts(role=role) for role in roles]
    total = [sum(counts) for counts in zip(*series, strict=True)]
    if not sum(total):
        return None
    first, last, step = _occupied(total)
    columns = [_cosine_column(series, roles, start, step) for start in range(first, last, step)]
    if limit is not None and found.highest_cosine <= limit:
        columns = [_cut_at(limit, column) for column in columns]
    marks = [Tick(limit, f"guard {limit:g}")] if limit is not None else []
    picture = histogram(columns, _cosine_ticks(first, last), "cosine to the query", "demonstrations", marks)
    note = f"{sum(total):,} demonstrations, median cosine {quantile(total, 0.5):.2f}."
    if found.without_similarity:
        note += f" {found.without_similarity:,} more have no similarity."
    rows = [_quartiles(words(s), found.cosine_counts(selector=s)) for s in sorted({s for s, _ in found.cosines})]
    rows += [_quartiles(words(role), counts) for role, counts in zip(roles, series, strict=True)]
    head = ("selector or role", "demonstrations", "25 %", "median", "75 %")
    return Plot("How near demonstrations are", note, picture, [words(role) for role in roles], head, rows)


def _occupied(total: Sequence[int]) -> tuple[int, int, int]:
    """First bin, end bin and bins a column: whole tenths around what is there, at most 50 columns."""
    there = [i for i, count in enumerate(total) if count]
    first, last = there[0] // 5 * 5, min(BINS, there[-1] // 5 * 5 + 5)
    return first, last, 1 if last - first <= 50 else 5


def _value(edge: int) -> float:
    return round(edge * BIN - 1, 6)


def _cosine_column(series: Sequence[Sequence[int]], roles: Sequence[str], start: int, step: int) -> Column:
    counts = [sum(s[start : start + step]) for s in series]
    shown = ", ".join(f"{count:,} {words(role)}" for count, role in zip(counts, roles, strict=True) if count)
    left, right = _value(start), _value(start + step)
    return Column(left, right, counts, f"{left:.2f} to {right:.2f}: {shown}")


def _cut_at(limit: float, column: Column) -> Column:
    """A column that the limit crosses ends there when nothing lies beyond, so that it does not seem to."""
    return replace(column, right=limit) if column.left < limit < column.right else column


def _cosine_ticks(first: int, last: int) -> list[Tick]:
    step = next(s for s in (5, 10, 20, 25) if (last - first) / s <= 7 or s == 25)
    return [Tick(_value(edge), f"{_value(edge):.1f}") for edge in range(0, BINS + 1, step) if first <= edge <= last]


def quantile(counts: Sequence[int], share: float) -> float:
    """A quantile of cosines from their histogram, exact to a bin's width."""
    wanted, below = share * sum(counts), 0
    for i, count in enumerate(counts):
        if count and below + count >= wanted:
            return _value(i) + BIN * (wanted - below) / count
        below += count
    return math.nan


def _quartiles(name: str, counts: Sequence[int]) -> list[str]:
    return [name, f"{sum(counts):,}", *(f"{quantile(counts, share):.2f}" for share in (0.25, 0.5, 0.75))]


def shots_plot(found: Survey) -> Plot:
    """Episodes by their number of demonstrations, stacked by format."""
    formats = [name for name, _ in found.largest("format", len(found.counts["format"]))]
    named, rest = (formats, []) if len(formats) <= SERIES else (formats[: SERIES - 1], formats[SERIES - 1 :])
    groups = [[name] for name in named] + ([rest] if rest else [])
    names = [words(name) for name in named] + (["other"] if rest else [])
    shots = sorted({shots for _, shots in found.shots})
    counts = {s: [sum(found.shots[name, s] for name in group) for group in groups] for s in shots}
    columns = [_shots_column(place, s, counts[s], names) for place, s in enumerate(shots)]
    ticks = [Tick(place, str(s)) for place, s in enumerate(shots)]
    picture = histogram(columns, ticks, "shots (demonstrations before the query)", "episodes")
    rows = [[str(s), *(f"{n:,}" for n in counts[s]), f"{sum(counts[s]):,}"] for s in shots]
    mean = sum(s * sum(counts[s]) for s in shots) / max(1, found.episodes)
    note = f"{found.episodes:,} episodes, {mean:.1f} shots on average."
    return Plot("How many shots", note, picture, names, ("shots", *names, "all"), rows)


def _shots_column(place: int, shots: int, counts: Sequence[int], names: Sequence[str]) -> Column:
    shown = ", ".join(f"{count:,} {name}" for count, name in zip(counts, names, strict=True) if count)
    return Column(place - 0.5, place + 0.5, counts, f"{shots} shots: {shown}")


def bar_lists(found: Survey) -> list[BarList]:
    """What the episodes are made of, field by field."""
    titles = {"format": "Formats", "selector": "Selectors", "order": "Orders", "task": "Tasks"}
    titles |= {"source": "Sources", "licence": "Licences", "concept": "Concepts"}
    return [_bar_list(found, kind, title) for kind, title in titles.items()]


def _bar_list(found: Survey, kind: str, title: str) -> BarList:
    largest = found.largest(kind, LONGEST_LIST)
    top = largest[0][1] if largest else 1
    shown = words if kind in ("format", "selector", "order", "task") else lambda name: short(name, LONGEST_NAME)
    rows = [(shown(name) or "(none)", n, share(n, found.episodes), bar(n / top)) for name, n in largest]
    return BarList(title, rows, len(found.counts[kind]) - len(largest))


def guard_limit(settings: dict[str, Any]) -> float | None:
    """The cosine above which the episode guard refuses, read from the episodes' settings; None when unknown or off."""
    guard = settings.get("guard")
    limit = guard.get("cosine") if isinstance(guard, dict) else None
    return float(limit) if isinstance(limit, int | float) and not isinstance(limit, bool) else None
