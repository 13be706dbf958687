"""One pass over all episodes, part by part: what is counted of them, and which of them the gallery shows.

The pass holds one part at a time. What it keeps is counters, histograms with fixed bins, and for each
stratum (format, shots, selector) the places of the few episodes whose hash of (seed, id) is smallest, which
is a uniform sample that does not depend on the order or the sizes of the parts.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curate.engine import Progress, Quiet, Receipt, SourcePart, StageManifest
from curate.errors import InputError
from curate.layout import Run
from curate.report.settings import ReportSettings
from curate.schema import Episode, arrow_schema, from_table
from curate.seeding import seed_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BIN = 0.02
BINS = 100
"""Bins of the cosine histogram: 0.02 wide from -1 to 1."""

COUNTED = ("format", "task", "concept", "selector", "order", "source", "licence")

Stratum = tuple[str, int, str]
"""(format, shots, selector)."""


@dataclass(frozen=True, order=True)
class Place:
    """Where an episode stands, ranked for the sample."""

    priority: int
    part: str
    row: int


@dataclass
class Survey:
    """What the pass counted."""

    episodes: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in COUNTED})
    shots: Counter[tuple[str, int]] = field(default_factory=Counter)  # (format, shots) -> episodes
    cosines: "dict[tuple[str, str], np.ndarray[Any, Any]]" = field(default_factory=dict)  # (selector, role) -> int64 [BINS]
    highest_cosine: float = -1.0
    without_similarity: int = 0  # demonstrations
    strata: dict[Stratum, list[Place]] = field(default_factory=dict)

    def cosine_counts(self, selector: str | None = None, role: str | None = None) -> list[int]:
        """Demonstrations by bin of their cosine to the query, over one selector or role or all."""
        chosen = [h for (s, r), h in self.cosines.items() if selector in (None, s) and role in (None, r)]
        return [int(n) for n in sum(chosen[1:], chosen[0])] if chosen else [0] * BINS

    def roles(self) -> list[str]:
        """Roles that demonstrations with a similarity have, sorted."""
        return sorted({role for _, role in self.cosines})

    def largest(self, kind: str, limit: int) -> list[tuple[str, int]]:
        """The most frequent values of a counted field, ties by name."""
        return heapq.nsmallest(limit, self.counts[kind].items(), key=lambda item: (-item[1], item[0]))


def survey(run: Run, settings: ReportSettings, progress: Progress | None = None) -> Survey:
    """Counts the run's episodes and picks the places of a sample; InputError when they are of another version."""
    progress, found = progress or Quiet(), Survey()
    names = StageManifest.load(run.episodes).tables()
    progress.start("report", len(names), 0)
    for name in names:
        table = _episodes(run, name)
        _count(found, table)
        _sample(found, table, name, settings)
        progress.advance(_receipt(name, table.num_rows))
    return found


def _receipt(name: str, rows: int) -> Receipt:
    return Receipt(name, "", {}, {}, rows, rows, {}, {})


def _episodes(run: Run, name: str) -> "pa.Table":
    table = SourcePart(run.episodes, name).table()
    if table.schema.remove_metadata() != arrow_schema(Episode):
        raise InputError(f"{run.episodes.uri}/{name} does not hold episodes of this version; build them again")
    return table


def _shots(table: "pa.Table") -> list[int]:
    import pyarrow.compute as pc

    counts: list[int] = pc.fill_null(pc.list_value_length(table["demonstrations"]), 0).to_pylist()
    return counts


def _count(found: Survey, table: "pa.Table") -> None:
    found.episodes += table.num_rows
    for kind, counter in found.counts.items():
        counter.update({str(pair["values"]): pair["counts"] for pair in table[kind].value_counts().to_pylist()})
    found.shots.update(zip(table["format"].to_pylist(), _shots(table), strict=True))
    _count_cosines(found, table)


def _count_cosines(found: Survey, table: "pa.Table") -> None:
    import numpy as np
    import pyarrow.compute as pc

    turns = pc.list_flatten(table["demonstrations"])
    of_row = pc.list_parent_indices(table["demonstrations"])
    cosines = pc.struct_field(turns, "similarity").to_numpy().astype(np.float64)
    known = np.isfinite(cosines)
    found.without_similarity += int((~known).sum())
    found.highest_cosine = max([found.highest_cosine, *cosines[known].max(initial=-1.0, keepdims=True).tolist()])
    bins = np.clip(np.floor((cosines[known] + 1 + 1e-9) / BIN), 0, BINS - 1).astype(np.int64)
    selectors = np.asarray(pc.take(table["selector"], of_row).to_pylist(), dtype=object)[known]
    roles = np.asarray(pc.struct_field(turns, "role").to_pylist(), dtype=object)[known]
    for selector, role in sorted(set(zip(selectors.tolist(), roles.tolist(), strict=True))):
        mine = np.bincount(bins[(selectors == selector) & (roles == role)], minlength=BINS)
        before = found.cosines.get((str(selector), str(role)))
        found.cosines[str(selector), str(role)] = mine if before is None else before + mine


def _sample(found: Survey, table: "pa.Table", part: str, settings: ReportSettings) -> None:
    fresh: dict[Stratum, list[Place]] = {}
    columns = (table[name].to_pylist() for name in ("id", "format", "selector"))
    for row, (identity, format, selector, shots) in enumerate(zip(*columns, _shots(table), strict=True)):
        place = Place(seed_of(settings.seed, "report", identity), part, row)
        fresh.setdefault((format, shots, selector), []).append(place)
    for stratum, places in fresh.items():
        kept = found.strata.get(stratum, [])
        found.strata[stratum] = heapq.nsmallest(settings.max_episodes, kept + places)


def chosen(found: Survey, settings: ReportSettings) -> list[Place]:
    """At most `max_episodes` places: one of each stratum in turn, so that the rare ones are seen too."""
    strata = sorted(found.strata, key=lambda stratum: (seed_of(settings.seed, "report", repr(stratum)), stratum))
    rounds = range(max((len(places) for places in found.strata.values()), default=0))
    turns = (found.strata[stratum][turn] for turn in rounds for stratum in strata if turn < len(found.strata[stratum]))
    return [place for place, _ in zip(turns, range(settings.max_episodes), strict=False)]


def episodes_at(run: Run, places: list[Place]) -> Iterator[Episode]:
    """The episodes at some places, in the order of the places; each part is read once."""
    found: dict[Place, Episode] = {}
    for part in sorted({place.part for place in places}):
        here = [place for place in places if place.part == part]
        rows = _episodes(run, part).take([place.row for place in here])
        found.update(zip(here, from_table(rows, Episode), strict=True))
    yield from (found[place] for place in places)
