"""What plan.json says of a plan: shares requested and realised, reasons, the curriculum, and what is in it.

unit        sample, supervised_token or image_token: what shares are shares of
tokens      how tokens were counted; "estimate" unless a processor did
size        {samples, distinct, units, available, supervised_tokens, image_tokens}
requested   [{axis, within, value, requested, realised, reason}], shares in points, reason "" within tolerance
reasons     the reasons that occur, once each
notes       about the size and the replay
curriculum  {order, blocks, worst, tracks: [{axis, values, target, realised}]}, shares in points a block
marginals   {axis: {value: {samples, share}}}, the MOST largest values of each
bands       {axis: edges between the bands of coherence and hardness}
values      {axis: number of values that occur}
sources     {name: {samples, drawn, repeats, rejected}}
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from curate.errors import InputError
from curate.mixture.axes import NONE, all_coded, band_names
from curate.mixture.cells import AXES, Floats, Ints
from curate.mixture.compose import UNITS, Composed
from curate.mixture.curriculum import Arrangement, Track
from curate.mixture.draw import repeats
from curate.mixture.settings import MixSpec
from curate.mixture.solver import ShareRow
from curate.mixture.sources import Source
from curate.mixture.stock import Stock
from curate.shards.plans import Plan

MOST = 100
"""Values of an axis in `marginals`."""


def account(
    spec: MixSpec,
    made: Composed,
    stock: Stock,
    sources: Sequence[Source],
    rejected: Mapping[str, Mapping[str, int]],
    tokens: str,
) -> dict[str, Any]:
    """The report of a plan, as plain data."""
    counts = repeats(made.order, len(stock))
    axes = all_coded(stock, made.edges)
    units = counts * made.units
    return {
        "unit": spec.unit,
        "tokens": tokens,
        "tolerance": spec.tolerance,
        "size": _size(stock, counts, units),
        "requested": [_row(row) for row in made.rows],
        "reasons": list(dict.fromkeys(row.reason for row in made.rows if row.reason)),
        "notes": list(made.notes),
        "curriculum": _curriculum(spec, made.arrangement),
        "marginals": {axis: _marginal(codes, names, counts, units) for axis, (codes, names) in axes.items()},
        "bands": {axis: list(edges) for axis, edges in made.edges.items()},  # unrounded: samples may lie on an edge
        "values": {axis: int((np.bincount(codes, counts) > 0).sum()) for axis, (codes, _) in axes.items()},
        "sources": _sources(*axes["source"], counts, sources, rejected),
    }


def _size(stock: Stock, counts: Ints, units: Floats) -> dict[str, Any]:
    return {
        "samples": int(counts.sum()),
        "distinct": int((counts > 0).sum()),
        "units": _round(float(units.sum())),
        "available": len(stock),
        **{name: int((counts * stock.numbers(name).astype(np.int64)).sum()) for name in UNITS.values()},
    }


def _round(value: float) -> float:
    return round(value, 6) + 0.0


def _row(row: ShareRow) -> dict[str, Any]:
    return {
        "axis": row.axis,
        "within": dict(row.within),
        "value": row.value,
        "requested": _round(100 * row.requested),
        "realised": _round(100 * row.realised),
        "reason": row.reason,
    }


def _curriculum(spec: MixSpec, arrangement: Arrangement) -> dict[str, Any]:
    tracks = [_track(track) for track in arrangement.tracks]
    return {"order": spec.order, "blocks": len(arrangement.ends), "worst": _round(arrangement.worst), "tracks": tracks}


def _track(track: Track) -> dict[str, Any]:
    points = {
        name: np.round(100 * shares, 4) + 0.0 for name, shares in (("target", track.target), ("realised", track.realised))
    }
    return {"axis": track.axis, "values": track.values, **{name: shares.tolist() for name, shares in points.items()}}


def _marginal(codes: Ints, names: Sequence[str], counts: Ints, units: Floats) -> dict[str, dict[str, Any]]:
    """Samples and share of the units by value, the largest first."""
    samples = np.bincount(codes, counts, len(names)).astype(np.int64)
    held = np.bincount(codes, units, len(names))
    total = float(held.sum()) or 1.0
    largest = sorted(np.flatnonzero(samples).tolist(), key=lambda code: (-held[code], -samples[code], names[code]))[:MOST]
    return {names[code]: {"samples": int(samples[code]), "share": _round(100 * float(held[code]) / total)} for code in largest}


def _sources(
    codes: Ints, names: Sequence[str], counts: Ints, sources: Sequence[Source], rejected: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, Any]]:
    said = {}
    for source in sources:
        here = codes == (names.index(source.name) if source.name in names else -1)
        most = int(counts[here].max(initial=0))
        said[source.name] = {
            "samples": int(here.sum()),
            "drawn": int(counts[here].sum()),
            "repeats": most,
            "rejected": dict(rejected[source.name]),
        }
    return said


KEYS = {
    "unit", "tokens", "tolerance", "size", "requested", "reasons", "notes", "curriculum", "marginals", "bands", "values",
    "sources",
}  # fmt: skip
"""What a report has at least."""


def report_of(plan: Plan) -> dict[str, Any]:
    """The report in a plan; InputError when it is of another make."""
    report = plan.manifest.report
    if not isinstance(report, dict) or not set(report) >= KEYS:
        raise InputError(f"the plan in {plan.folder.uri} says nothing of its mix; build it again: curate mix SPEC.yaml")
    return report


def demands(report: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """The rows of `requested` by what they are shares of: an axis inside a part of the plan."""
    return [list(rows) for _, rows in groupby(report["requested"], key=lambda row: (row["axis"], row["within"]))]


def foremost(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most so many rows of a demand: where there are more, those that are off and then those of the largest shares."""
    if len(rows) <= most:
        return list(rows)
    return sorted(rows, key=lambda row: (not row["reason"], -row["requested"], row["value"]))[:most]


def contents(report: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """(axis, (value, {samples, share})...) of the axes with more than one value, the largest first; numbers and
    bands in their own order."""
    found = []
    for axis in AXES:
        values = dict(report["marginals"].get(axis, {}))
        if len(values) > 1:
            found.append((axis, [(name, values[name]) for name in _in_order(axis, values, report)]))
    return found


def _in_order(axis: str, values: Mapping[str, Mapping[str, Any]], report: Mapping[str, Any]) -> list[str]:
    if axis in report["bands"]:
        return [name for name in (*band_names(len(report["bands"][axis]) + 1), NONE) if name in values]
    if all(name.isdecimal() for name in values):
        return sorted(values, key=int)
    return sorted(values, key=lambda name: (-values[name]["share"], name))


def beyond(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a report whose share is off by more than the tolerance."""
    return [row for row in report["requested"] if row["reason"]]
