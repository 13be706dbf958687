"""The stage that builds episodes: a part is a handful of queries, everything else comes from the run's folder."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.engine import Partition, PartWriter, Progress, StageManifest, lineage_of
from curate.engine import run as run_stage
from curate.episodes.cells import assign, cells_of, fit, stocks_of
from curate.episodes.compose import Composer
from curate.episodes.dice import Dice, Ints
from curate.episodes.drafts import Cell, Drafts
from curate.episodes.formats import FORMATS, Wording
from curate.episodes.guard import RULES, Guard
from curate.episodes.neighbours import Search
from curate.episodes.pool import Pool
from curate.episodes.pseudowords import vocabulary, words_in
from curate.episodes.reading import Inputs, inputs_of, open_search, query_rows, read_pool
from curate.episodes.records import Scribe, Stamp
from curate.episodes.selectors import SELECTORS
from curate.episodes.settings import EpisodeSettings
from curate.episodes.templates import Template, load_templates
from curate.layout import Run
from curate.settings import Settings
from curate.storage import hash_json

if TYPE_CHECKING:
    import pyarrow as pa

REJECTED = ("bad_hash", "duplicate_id")
"""Faults of a demonstration's record; other faults mean that it is sound and not wanted."""


@dataclass
class _Batch:
    """The queries of one part."""

    items: list[str]  # [Q] "query id#variant"
    queries: Ints  # [Q]
    neighbours: Ints  # [Q, k]
    guard: Guard
    part: PartWriter
    seen: set[tuple[object, ...]] = field(default_factory=set)  # contents of the episodes made so far


class Builder:
    """Episodes of queries over one pool in memory: the core of the stage, without files."""

    def __init__(
        self,
        pool: Pool,
        settings: EpisodeSettings,
        search: Search | None,
        templates: dict[str, list[Template]] | None = None,
        lineage: tuple[str, ...] = (),
    ) -> None:
        self.pool, self.settings, self.search = pool, settings, search
        templates = templates or load_templates(settings.templates)
        self.cells = cells_of(settings)
        self.stocks = stocks_of(self.cells, pool)
        self.fits = fit(self.cells, self.stocks, settings)
        self.composer = Composer(pool, settings, self.stocks)
        self.wording = Wording(templates, self._words())
        self.scribe = Scribe(pool, Stamp(settings_hash(settings, templates), settings.seed, lineage))

    def _words(self) -> list[str]:
        if not any(cell.plan.labels == "pseudo" for cell in self.cells):
            return []
        taken = words_in([*self.pool.names, *set(self.pool.answers), *set(self.pool.questions)])
        return vocabulary(self.settings.seed, taken, self.settings.pseudowords)

    def build(self, rows: Ints, part: PartWriter) -> "pa.Table":
        """All episodes of the queries `rows`, in the order of the queries; `part` hears what was dropped and why."""
        items, queries = self._items(rows)
        part.saw(len(items))
        chosen = assign(self.fits[queries], self.cells, Dice.of(self.settings.seed, "episodes.cell", items))
        self._note_unfit(items, queries, chosen, part)
        batch = _Batch(items, queries, self._neighbours(queries, chosen), Guard(self.pool, self.settings.guard), part)
        tables, places = [], []
        for at in np.unique(chosen[chosen >= 0]).tolist():
            mine = np.flatnonzero(chosen == at)
            table, kept = self._cell(self.cells[at], mine, batch)
            tables.append(table)
            places.append(mine[kept])
        self._tally(batch.guard, part)
        return _in_order(tables, places)

    def _items(self, rows: Ints) -> tuple[list[str], Ints]:
        """Every query once for each variant: names and rows."""
        ids, variants = self.pool.ids, range(self.settings.per_query)
        return [f"{ids[row]}#{v}" for row in rows.tolist() for v in variants], np.repeat(rows, len(variants))

    def _cell(self, cell: Cell, mine: Ints, batch: "_Batch") -> "tuple[pa.Table, Ints]":
        """The episodes of the cell's queries, and which of the positions `mine` they came from."""
        items, part = [batch.items[i] for i in mine.tolist()], batch.part
        rows, near = batch.queries[mine], batch.neighbours[mine]
        drafts, kept = self.composer.compose(cell, rows, items, near, batch.guard, items[0])
        lost = np.ones(len(mine), dtype=bool)
        lost[kept] = False
        for at in np.flatnonzero(lost).tolist():
            part.drop(items[at], "too_few_demonstrations", cell.name)
        fresh = self._fresh(drafts, batch.seen, part)
        drafts = drafts.at(fresh)
        part.tally("cell", cell.name, len(drafts))
        return self.scribe.table(drafts, FORMATS.get(cell.plan.format).write(drafts, self.wording)), kept[fresh]

    def _neighbours(self, queries: Ints, chosen: Ints) -> Ints:
        """[Q, k] neighbours of the queries whose cell asks for them, in one search, which is quicker than one a cell."""
        near = np.full((len(queries), self.settings.neighbours), -1, dtype=np.int64)
        asks = np.array([SELECTORS.get(cell.plan.selector).by_similarity for cell in self.cells], dtype=bool)
        wanted = (chosen >= 0) & asks[chosen]
        if wanted.any():
            assert self.search is not None, "no search over vectors"
            near[wanted] = self.search.nearest(queries[wanted], self.settings.neighbours)
        return near

    def _fresh(self, drafts: Drafts, seen: set[tuple[object, ...]], part: PartWriter) -> Ints:
        """Drafts that do not repeat, in whatever order, another variant of the same query."""
        if self.settings.per_query == 1:
            return np.arange(len(drafts))
        fresh, plan = [], drafts.cell.plan
        for at, (rows, concepts) in enumerate(zip(drafts.rows.tolist(), drafts.concepts.tolist(), strict=True)):
            key = (plan.format, plan.labels, rows[-1], *sorted(rows[:-1]), None, *sorted(concepts))
            if key in seen:
                part.drop(drafts.items[at], "duplicate_episode", drafts.cell.name)
            else:
                fresh.append(at)
            seen.add(key)
        return np.array(fresh, dtype=np.int64)

    def _note_unfit(self, items: list[str], queries: Ints, chosen: Ints, part: PartWriter) -> None:
        for at in np.flatnonzero(chosen < 0).tolist():
            fault = self.pool.faults[queries[at]]
            leave = part.reject if fault in REJECTED else part.drop
            leave(items[at], fault or "no_plan_fits")

    @staticmethod
    def _tally(guard: Guard, part: PartWriter) -> None:
        part.tally("guard", "considered", guard.considered)
        for rule in RULES:
            part.tally("guard", rule, guard.refused[rule])


def _in_order(tables: "list[pa.Table]", places: list[Ints]) -> "pa.Table":
    """Tables of cells as one, in the order of the queries."""
    import pyarrow as pa

    from curate.schema import Episode, arrow_schema

    if not tables:
        return arrow_schema(Episode).empty_table()
    return pa.concat_tables(tables).take(pa.array(np.argsort(np.concatenate(places), kind="stable")))


def settings_hash(settings: EpisodeSettings, templates: dict[str, list[Template]]) -> str:
    """16 digits for settings and wordings."""
    return hash_json([settings.model_dump(mode="json"), templates_json(templates)])[:16]


def templates_json(templates: dict[str, list[Template]]) -> dict[str, list[Any]]:
    """Templates as plain data."""
    return {name: [template.model_dump(mode="json") for template in known] for name, known in templates.items()}


class EpisodeStage:
    """Queries in, Episodes out."""

    name, version = "episodes", "2"

    def __init__(self, run: Run, settings: EpisodeSettings, templates: dict[str, list[Template]], inputs: Inputs) -> None:
        self.settings: Settings = settings
        self._run, self._plans, self._templates, self._inputs = run, settings, templates, inputs

    def setup(self) -> None:
        """Reads pool, vectors and index."""
        pool = read_pool(self._run, self._plans)
        search = open_search(self._run, pool) if needs_search(self._plans) else None
        lineage = (*self._inputs.lineage, lineage_of(self))
        self._builder = Builder(pool, self._plans, search, self._templates, lineage)

    def process(self, payload: list[int], part: PartWriter) -> None:
        """Builds the episodes of the queries with these rows."""
        part.table(self._builder.build(np.array(payload, dtype=np.int64), part))


def needs_search(settings: EpisodeSettings) -> bool:
    """Whether a plan asks for neighbours."""
    return any(SELECTORS.get(plan.selector).by_similarity for plan in settings.episodes)


def build_episodes(run: Run, settings: EpisodeSettings, workers: int = 1, progress: Progress | None = None) -> StageManifest:
    """RUN/demonstrations, embeddings and index into RUN/episodes.

    Raises ConfigError for plans that cannot be and InputError where a stage is missing.
    """
    cells_of(settings)
    templates = load_templates(settings.templates)
    inputs = inputs_of(run, settings, needs_search(settings))
    digests = {**inputs.digests, "templates": hash_json(templates_json(templates))}
    rows = query_rows(run, settings)
    chunks = [rows[start : start + settings.partition] for start in range(0, len(rows), settings.partition)]
    partitions = [Partition(hash_json([digests, chunk]), chunk) for chunk in chunks]
    stage = EpisodeStage(run, settings, templates, inputs)
    return run_stage(stage, partitions, run.episodes, digests, workers, progress)
