"""All kinds of a design as rows of a space: simplices and choices brought together, duplicates one row with several kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, zip_longest
from math import prod

import numpy as np

from curate.errors import ConfigError
from curate.seeding import rng
from pipelines.sweep.designs.base import MOST, Kind
from pipelines.sweep.designs.geometry import nearest
from pipelines.sweep.space import Choice, Floats, Simplex, Space

PRIOR, NATURAL, UNIFORM = "prior", "natural", "uniform"
ALWAYS = (PRIOR, NATURAL, UNIFORM)
RUNS_A_COLUMN = 4
"""Runs for each number of a row, and as many for the whole, where nothing says how many."""
DIGITS = 9
"""Decimals in which two mixes are one."""


@dataclass(frozen=True)
class Row:
    """A mix, and the kinds of design that ask for it."""

    row: Floats  # [columns]
    kinds: tuple[str, ...]


def rows_of(space: Space, kinds: Sequence[Kind], seed: int, runs: int | None = None) -> list[Row]:
    """Prior, natural, uniform, then the kinds in turn: no mix twice, every one allowed, `runs` of them at most.

    A function of its arguments alone: more runs or another kind behind the others leave those before as they are, but for
    the number of draws of a kind that fills what is left.
    """
    always = [(PRIOR, prior_row(space)), (NATURAL, _even(space, NATURAL)), (UNIFORM, _even(space, UNIFORM))]
    given = {at: kind_rows(space, kind, seed, kind.runs) for at, kind in enumerate(kinds) if not _fills(kind)}
    held = len(merged([*always, *((kinds[at].kind, row) for at, rows in given.items() for row in rows)]))
    filling = [at for at, kind in enumerate(kinds) if _fills(kind)]
    left = max(0, (runs or RUNS_A_COLUMN * (len(space.columns) + 1)) - held)
    for number, at in enumerate(filling):
        count = left // len(filling) + (number < left % len(filling))
        given[at] = kind_rows(space, kinds[at], seed, count)
    ranks = zip_longest(*(given[at] for at in range(len(kinds))))
    in_turn = [(kind.kind, row) for rank in ranks for kind, row in zip(kinds, rank, strict=True) if row is not None]
    found = merged([*always, *in_turn])
    return found if runs is None else found[: max(runs, len(merged(always)))]


def _fills(kind: Kind) -> bool:
    return kind.draws and kind.runs is None


def merged(rows: Sequence[tuple[str, Floats]]) -> list[Row]:
    """Each mix once, where it first stood, with all kinds that ask for it."""
    found: dict[bytes, tuple[Floats, dict[str, None]]] = {}
    for kind, row in rows:
        found.setdefault((np.round(row, DIGITS) + 0.0).tobytes(), (row, {}))[1][kind] = None
    return [Row(row, tuple(kinds)) for row, kinds in found.values()]


def prior_row(space: Space) -> Floats:
    """[columns]."""
    return space.row(space.prior)


def _even(space: Space, which: str) -> Floats:
    """The natural or the uniform mix, or the allowed one nearest to it; choices as in the prior."""
    row = prior_row(space)
    for block, one in zip(space.blocks, space.simplices, strict=False):
        even = np.full(len(one.components), 1 / len(one.components))
        row[block] = nearest(one, np.array(one.natural) if which == NATURAL else even)
    return row


def kind_rows(space: Space, kind: Kind, seed: int, count: int | None) -> list[Floats]:
    """Rows [columns] of one kind, `count` at most."""
    if count == 0:
        return []
    if kind.pairing == "product":
        rows = _product(space, kind, seed)
    elif kind.pairing == "alone":
        rows = _alone(space, kind, seed)
    else:
        rows = _beside(space, kind, seed, count)
    if count is None or len(rows) <= count:
        return rows
    chosen = rng(seed, f"sweep/{kind.kind}", "chosen").permutation(len(rows))[:count]
    return [rows[at] for at in sorted(chosen.tolist())]


def _product(space: Space, kind: Kind, seed: int) -> list[Floats]:
    parts = [_points(kind, one, seed, 0) for one in space.simplices] + [np.eye(len(one.levels)) for one in space.choices]
    if prod(map(len, parts)) > MOST:
        raise ConfigError(f"a {kind.kind} of {prod(map(len, parts)):,} mixes is too large; take a coarser one, or dirichlet")
    return [np.concatenate(rows) for rows in product(*parts)]


def _alone(space: Space, kind: Kind, seed: int) -> list[Floats]:
    rows: list[Floats] = []
    blocks = space.blocks
    others = [np.eye(len(one.levels))[1:] for one in space.choices]
    for block, parts in zip(blocks, [*(_points(kind, one, seed, 0) for one in space.simplices), *others], strict=True):
        for part in parts:
            row = prior_row(space)
            row[block] = part
            rows.append(row)
    return rows


def _beside(space: Space, kind: Kind, seed: int, count: int | None) -> list[Floats]:
    """Points of each simplex in an order of its own beside those of the others, again from the start where there are fewer;
    levels so that each comes as often as another, to one."""
    wanted = count or 0
    points = [_points(kind, one, seed, wanted) for one in space.simplices]
    length = max([*map(len, points), *(len(one.levels) for one in space.choices)])
    if not kind.draws and len(space.simplices) > 1:
        points = [
            _laid_out(part, length, seed, kind.kind, one.axis) for part, one in zip(points, space.simplices, strict=True)
        ]
    parts = [part[np.arange(length) % len(part)] for part in points]
    parts += [_levels(one, length, seed, kind.kind) for one in space.choices]
    return [np.concatenate(row) for row in zip(*parts, strict=True)]


def _laid_out(points: Floats, length: int, seed: int, kind: str, axis: str) -> Floats:
    """[length, components] all points in an order of their own, then all in another."""
    orders = [rng(seed, f"sweep/{kind}/{axis}", str(at)).permutation(len(points)) for at in range(-(-length // len(points)))]
    return points[np.concatenate(orders)[:length]]


def _levels(choice: Choice, length: int, seed: int, kind: str) -> Floats:
    """[length, levels] one level a row: all levels in an order of their own, again and again."""
    return _laid_out(np.eye(len(choice.levels)), length, seed, kind, choice.name)


def _points(kind: Kind, simplex: Simplex, seed: int, count: int) -> Floats:
    points = kind.points(simplex, seed, count)
    if not len(points) and kind.pairing != "alone":
        raise ConfigError(f"bounds and caps on repeats leave no point of a {kind.kind} of {simplex.axis}; widen low and high")
    return points
