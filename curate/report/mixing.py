"""A plan on one page: the mix beside what was asked for, the curriculum block by block, and what else is in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from curate.errors import InputError
from curate.mixture.accounts import contents, demands, foremost, report_of
from curate.report.charts import COLOURS, Column, Tick, against, bar, histogram
from curate.report.plots import LONGEST_LIST, Plot
from curate.report.sheets import page
from curate.report.wording import LONGEST_NAME, short, words
from curate.shards.plans import Plan
from curate.storage import Folder

LONGEST_TABLE = 24
"""Rows of a table of shares."""
UNDER_100 = 1 - 1e-9
"""Keeps rounded shares of a block from summing to a hair above the axis' 100 %."""


@dataclass(frozen=True)
class Asked:
    """One demand: the shares of an axis inside a part of the plan."""

    title: str
    rows: Sequence[tuple[Mapping[str, Any], Markup]]  # row of the report, its bar
    left_out: int


@dataclass(frozen=True)
class Held:
    """What of one axis is in the plan, largest first."""

    title: str
    rows: Sequence[tuple[str, int, str, Markup]]  # value, samples, share, bar
    left_out: int


def write_mix_page(plan: Plan, out: Path) -> Path:
    """Writes the page of a plan to the file `out`; equal plans give equal bytes."""
    if out.is_dir():
        raise InputError(f"{out} is a folder; give --html the name of a file, such as {out / 'mix.html'}")
    Folder.of(out.parent).write(out.name, mix_page(plan))
    return out


def mix_page(plan: Plan) -> bytes:
    """The page: one file, no network, no script, light and dark as the system."""
    report = report_of(plan)
    context = {
        "digest": plan.digest,
        "report": report,
        "unit": report["unit"].replace("_", " ") + "s",
        "counted": "" if report["unit"] == "sample" else f" ({report['tokens']})",
        "blocks": len(plan.manifest.blocks),
        "order": report["curriculum"]["order"],
        "asked": asked(report),
        "plots": [curriculum_plot(track) for track in report["curriculum"]["tracks"]],
        "held": held(report),
        "spec": json.dumps(plan.manifest.spec, indent=2, ensure_ascii=False),
    }
    return page("mix.html", context)


def asked(report: Mapping[str, Any]) -> list[Asked]:
    """All demands with their realised shares."""
    return [_asked(rows) for rows in demands(report)]


def _asked(rows: list[dict[str, Any]]) -> Asked:
    axis, within = rows[0]["axis"], rows[0]["within"]
    inside = ", ".join(f"{words(name)} {words(value)}" for name, value in within.items())
    kept = foremost(rows, LONGEST_TABLE)
    drawn = [(row, against(row["realised"] / 100, row["requested"] / 100)) for row in kept]
    return Asked(words(axis) + (f" inside {inside}" if inside else ""), drawn, len(rows) - len(kept))


def curriculum_plot(track: Mapping[str, Any]) -> Plot:
    """Realised shares of an axis stacked over the blocks, crossed by lines at what the schedule asks."""
    values: list[str] = track["values"]
    groups = _groups(track)
    names = [words(values[group[0]]) if len(group) == 1 else "other" for group in groups]
    realised, target = (_grouped(track[side], groups) for side in ("realised", "target"))
    pairs = enumerate(zip(realised, target, strict=True))
    columns = [_block(place, shares, aims, names) for place, (shares, aims) in pairs]
    step = max(1, -(-len(columns) // 12))
    ticks = [Tick(place + 0.5, str(place + 1)) for place in range(0, len(columns), step)]
    picture = histogram(columns, ticks, "block of the plan", "% of the block")
    rows = [[str(place + 1), *(f"{share:.1f}" for share in shares)] for place, shares in enumerate(realised)]
    note = "Columns are what each block holds; lines are what the schedule asks of the samples at hand."
    return Plot(f"{words(track['axis'])} over the plan".capitalize(), note, picture, names, ("block", *names), rows)


def _groups(track: Mapping[str, Any]) -> list[list[int]]:
    """Values by colour: the largest have their own, the others share the last one."""
    number = len(track["values"])
    if number <= COLOURS:
        return [[value] for value in range(number)]
    total = [sum(block[value] for block in track["realised"]) for value in range(number)]
    largest = sorted(sorted(range(number), key=lambda value: -total[value])[: COLOURS - 1])
    return [[value] for value in largest] + [[value for value in range(number) if value not in largest]]


def _grouped(blocks: Sequence[Sequence[float]], groups: Sequence[Sequence[int]]) -> list[list[float]]:
    return [[sum(block[value] for value in group) for group in groups] for block in blocks]


def _block(place: int, shares: Sequence[float], aims: Sequence[float], names: Sequence[str]) -> Column:
    scale = UNDER_100 * min(1.0, 100 / max(sum(shares), 1e-9))
    shown = ", ".join(f"{name} {share:.0f} %" for name, share in zip(names, shares, strict=True) if share >= 0.5)
    lines = [min(sum(aims[: i + 1]), 100.0) for i in range(len(aims) - 1)]
    lines = [line for line in dict.fromkeys(lines) if 0.5 < line < 99.5]
    return Column(place, place + 1, [share * scale for share in shares], f"block {place + 1}: {shown}", lines)


def held(report: Mapping[str, Any]) -> list[Held]:
    """What is in the plan by every axis with more than one value."""
    lists = []
    for axis, values in contents(report):
        shown = values[:LONGEST_LIST]
        rows = [(_name(v), row["samples"], f"{row['share']:.1f} %", bar(row["share"] / 100)) for v, row in shown]
        lists.append(Held(words(axis), rows, report["values"][axis] - len(rows)))
    return lists


def _name(value: str) -> str:
    return short(value, LONGEST_NAME)
