"""A stock and a spec to the samples of a plan: cells, demands, draws, blocks. Nothing is read or written here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from curate.errors import ConfigError, InputError
from curate.mixture.axes import Edges, band_edges, coded, grouped
from curate.mixture.cells import Cells, Floats, Ints, Within, sums_by
from curate.mixture.curriculum import Arrangement, arrange, averages
from curate.mixture.draw import Drawn, Numbers, draw, ordered
from curate.mixture.quotas import Demand, asked_axes, demands, units_by_value
from curate.mixture.settings import MixSpec
from curate.mixture.solver import Mix, ShareRow, solve
from curate.mixture.sources import Source
from curate.mixture.stock import Stock

UNITS = {"supervised_token": "supervised_tokens", "image_token": "image_tokens"}
"""Unit -> column of the stock; a sample is one `sample`."""

FAR = 5.0
"""Points of a block off its schedule that are worth a remark."""

ROOM = 0.8
"""Part of the tolerance that the solver may use where samples differ in units; the rest is for whole samples."""

WHOLE_SAMPLES = "samples are of different length, and whole samples of these come no nearer; a larger plan would"

MOST_DRAWS = 200_000_000
"""Samples of a plan, repeated ones counted: what is laid out in memory, some tens of bytes each."""


@dataclass(frozen=True)
class Composed:
    """The samples of a plan in order, and how that came about."""

    order: Numbers  # [N] sample numbers of the stock
    ends: Ints  # [B] where each block ends
    arrangement: Arrangement  # of the curriculum; one block for the flat control
    rows: list[ShareRow]  # requested beside realised, by the units that were drawn
    notes: tuple[str, ...]
    units: Floats  # [S] units of each sample of the stock
    edges: Edges  # of the bands of coherence and hardness, over the whole stock


def compose(spec: MixSpec, stock: Stock, sources: Sequence[Source]) -> Composed:
    """The plan that the spec asks for; ConfigError or InputError when it cannot be.

    The flat control has its demands from the curriculum too, so both are the same samples in another order.
    """
    spec = spec.with_preset()
    units = sample_units(stock, spec)
    edges = band_edges(stock, spec.bands)
    cells, cell_of = _cells(spec, stock, sources, units, edges)
    asked = _demands(spec, cells, sources)
    by_units = spec.unit in UNITS
    mix = solve(cells, asked, spec.wanted_size, spec.tolerance * (ROOM if by_units else 1))
    draws = int(mix.draws.sum())
    if draws > MOST_DRAWS:
        raise ConfigError(f"the plan would hold {draws:,} samples, more than {MOST_DRAWS:,}; lower size or max_repeats")
    drawn = draw(cells, cell_of, mix.draws, units, spec.seed, by_units)
    if not len(drawn.samples):
        raise InputError(f"the plan would be empty: a size of {spec.size} is less than one sample; raise the size")
    actual = replace(cells, units=_means(drawn, cells))
    arrangement = arrange(actual, drawn.draws, None if spec.order == "flat" else spec.curriculum)
    order = ordered(drawn, arrangement.counts, spec.seed)
    rows = realised(mix, actual, drawn.draws, spec.tolerance) if by_units else mix.rows
    notes = (*mix.notes, *_notes(spec, sources, arrangement), *_path_notes(spec, actual, arrangement))
    return Composed(order, arrangement.ends, arrangement, rows, notes, units, edges)


def sample_units(stock: Stock, spec: MixSpec) -> Floats:
    """[S] units of each sample."""
    if spec.unit in UNITS:
        return stock.numbers(UNITS[spec.unit]).astype(np.float64)
    return np.ones(len(stock))


def _cells(spec: MixSpec, stock: Stock, sources: Sequence[Source], units: Floats, edges: Edges) -> tuple[Cells, Ints]:
    axes = {axis: coded(stock, axis, edges) for axis in _axes(spec, sources)}
    names = {source.name: source for source in sources}
    codes, words = stock.words("source")
    repeats = np.array([names[word].max_repeats for word in words], np.int64)[codes]
    fixed = stock.numbers("replay").astype(bool) & (spec.replay == "full")
    return grouped(axes, units, repeats, fixed)


def _axes(spec: MixSpec, sources: Sequence[Source]) -> list[str]:
    """Axes that anything in the spec speaks of; ConfigError for an unknown one."""
    also = set(spec.scheduled_axes)
    if len(sources) > 1:
        also.add("source")
    if spec.replay is not None or any(source.replay for source in sources):
        also.add("replay")
    return asked_axes(spec.quotas, also) or ["source"]


def _demands(spec: MixSpec, cells: Cells, sources: Sequence[Source]) -> list[Demand]:
    scheduled = averages(spec.curriculum.schedules)
    return demands(
        cells,
        spec.quotas,
        weights={source.name: source.weight for source in sources} if len(sources) > 1 else None,
        replay=_replay(spec, scheduled),
        scheduled=scheduled,
        temperature=spec.temperature,
    )


def _replay(spec: MixSpec, scheduled: Mapping[str, Mapping[str, float]]) -> float | Literal["full"] | None:
    """The replay share, also where a schedule states it: weights then share out either side of it by itself."""
    if spec.replay is not None or "replay" not in scheduled:
        return spec.replay
    shares = scheduled["replay"]
    return shares.get("yes", 0.0) / max(sum(shares.values()), 1e-300)


def _notes(spec: MixSpec, sources: Sequence[Source], arrangement: Arrangement) -> list[str]:
    notes = []
    if spec.replay and not any(source.replay for source in sources):
        notes.append(f"replay is {spec.replay}, and no source is marked `replay: true`, so the plan holds none")
    if arrangement.worst > FAR:
        notes.append(
            f"a block is up to {arrangement.worst:.1f} points off its schedule: the samples do not allow the schedules all"
            " at once, or blocks are too small for samples of unequal length"
        )
    return notes


def _path_notes(spec: MixSpec, cells: Cells, arrangement: Arrangement) -> list[str]:
    """What keeps a path from being walked as it was written."""
    notes, blocks = [], len(arrangement.ends)
    for path in [schedule for schedule in spec.curriculum.schedules if schedule.path and spec.order != "flat"]:
        held = units_by_value(cells, path.axis, ())
        missing = [value for value in path.path if value not in held]
        if missing:
            notes.append(f"the path of {path.axis} names {', '.join(missing)}, which no sample has")
        if blocks < len(path.path):
            steps = len(path.path)
            notes.append(f"the path of {path.axis} has {steps} values and the plan {blocks} block(s); set curriculum.blocks")
    return notes


def _means(drawn: Drawn, cells: Cells) -> Floats:
    """[C] mean units of what was drawn; the cell's own mean where nothing was."""
    return np.divide(drawn.units, drawn.draws, out=cells.units.astype(np.float64), where=drawn.draws > 0)


def realised(mix: Mix, cells: Cells, draws: Ints, tolerance: float) -> list[ShareRow]:
    """The rows with shares by the units that were drawn, where the solver knew each cell's mean only."""
    units = draws * cells.units
    parts = dict.fromkeys((row.axis, row.within) for row in mix.rows)
    shares = {part: _shares(cells, units, *part) for part in parts}
    return [_row(row, shares[row.axis, row.within].get(row.value, 0.0), tolerance) for row in mix.rows]


def _shares(cells: Cells, units: Floats, axis: str, within: Within) -> dict[str, float]:
    """value -> share of the units [C] inside `within`."""
    inside = cells.inside(within)
    held = sums_by(cells.axes[axis][inside], units[inside], len(cells.values[axis]))
    return dict(zip(cells.values[axis], (held / max(float(held.sum()), 1e-300)).tolist(), strict=True))


def _row(row: ShareRow, share: float, tolerance: float) -> ShareRow:
    off = abs(share - row.requested) * 100 > tolerance + 1e-9
    return replace(row, realised=share, reason=(row.reason or WHOLE_SAMPLES) if off else "")
