"""Which plan a query goes to: cells, who is fit for them, and shares kept exactly within a part."""

import numpy as np

from curate.episodes.dice import Dice, Ints, Mask
from curate.episodes.drafts import Cell
from curate.episodes.formats import FORMATS
from curate.episodes.orders import ORDERS
from curate.episodes.pool import Pool
from curate.episodes.selectors import SELECTORS
from curate.episodes.settings import EpisodeSettings, Plan
from curate.episodes.stock import Stock
from curate.errors import ConfigError


def cells_of(settings: EpisodeSettings) -> list[Cell]:
    """All cells of the plans; ConfigError where a name is unknown or shots and ways do not go together."""
    cells = [cell for at, plan in enumerate(settings.episodes) for cell in _of_plan(plan, f"episodes.{at}")]
    _check_documents(settings)
    names = [cell.name for cell in cells]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"episodes: two plans make {twice}; merge them and add their shares")
    return cells


def _of_plan(plan: Plan, where: str) -> list[Cell]:
    SELECTORS.get(plan.selector), ORDERS.get(plan.order)
    form, cells = FORMATS.get(plan.format), []
    for shots, share in plan.shot_shares().items():
        ways = form.ways(plan, shots)
        if not ways:
            raise ConfigError(
                f"{where}: {shots} shots of {plan.format} with {plan.labels} labels do not go with ways {plan.way_counts()};"
                f" shots must be a multiple of the ways, and made-up labels need demonstrations"
            )
        cells += [Cell(plan, shots, way, plan.share * share / len(ways)) for way in ways]
    return cells


def _check_documents(settings: EpisodeSettings) -> None:
    """ConfigError where a plan asks for what one document cannot give."""
    for at, plan in enumerate(settings.episodes):
        within = SELECTORS.get(plan.selector).within_document
        if plan.order == "document" and not within:
            raise ConfigError(
                f"episodes.{at}: order document keeps the order of one document and goes with selector: document"
            )
        if within and (FORMATS.get(plan.format).by_concept or plan.answers != "free"):
            raise ConfigError(
                f"episodes.{at}: demonstrations from the query's document cannot be balanced;"
                f" selector {plan.selector} goes with format caption or open_qa and answers: free"
            )
        if within and settings.guard.source:
            raise ConfigError(
                f"episodes.{at}: guard.source refuses what selector {plan.selector} wants, the query's own document"
            )


def stocks_of(cells: list[Cell], pool: Pool) -> dict[str, Stock]:
    """What each format can use of a pool."""
    return {name: Stock(pool, FORMATS.get(name).accepts(pool)) for name in {cell.plan.format for cell in cells}}


def fit(cells: list[Cell], stocks: dict[str, Stock], settings: EpisodeSettings) -> Mask:
    """[N, cells] which demonstrations could be queries of which cells, as far as counts tell before the guard."""
    masks = [_fit(cell, stocks[cell.plan.format], settings) for cell in cells]
    return np.stack(masks, axis=1)


def _fit(cell: Cell, stock: Stock, settings: EpisodeSettings) -> Mask:
    pool = stock.pool
    accepted = SELECTORS.get(cell.plan.selector).accepts(stock, cell.shots) & stock.usable
    if not FORMATS.get(cell.plan.format).by_concept:
        return accepted & (stock.by_task.size_of(pool.tasks) > cell.shots)
    each = max(1, -(-cell.shots // cell.ways))
    sizes = stock.by_concept.size_of(pool.concepts)
    return accepted & (sizes > each) & (sizes >= settings.min_concept_size)


def assign(fits: Mask, cells: list[Cell], dice: Dice) -> Ints:
    """[Q] the cell of each query, -1 where none fits [Q, cells].

    Queries draw strata of (0, 1) in random order instead of independent numbers, so that shares hold within a part.
    All stand at one random place within their stratum, so that shares hold over many small parts as well.
    """
    count = len(fits)
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(dice.bits("cell", 1)[:, 0], kind="stable")] = np.arange(count)
    weights = fits * np.array([cell.weight for cell in cells])
    reach = np.cumsum(weights, axis=1)
    total = reach[:, -1:]
    within = dice.uniform("place in stratum", 1)[:1, 0] * (1 - 2.0**-20)  # below 1 after rounding too
    drawn = (rank + within)[:, None] / max(count, 1) * total
    return np.where(total[:, 0] > 0, (reach <= drawn).sum(axis=1), -1)
