"""Evaluations of one or several models on one page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.benches import Bench
from curate.errors import InputError
from curate.evaluations import is_evaluation
from curate.report.evaluation.board import Board, Task
from curate.report.evaluation.controls import Skill, above_chance, controls, skill
from curate.report.evaluation.costs import costs
from curate.report.evaluation.gains import Gains, gains_of
from curate.report.evaluation.gallery import Hall, card_of, exhibits, outcome_order
from curate.report.evaluation.models import Model, models_of
from curate.report.evaluation.scores import bands, charts, gain_bands, gain_rows, numbers
from curate.report.evaluation.summary import facts_of, headline
from curate.report.gallery import Gallery, hang
from curate.report.pictures import Album
from curate.report.settings import ReportSettings
from curate.report.sheets import asset, page, save
from curate.storage import Folder

FURNITURE = 4096
"""Bytes of filters and remarks that enter the page with its first card."""


@dataclass(frozen=True)
class EvaluationPage:
    """A finished page and what it shows."""

    html: bytes
    models: int
    benchmarks: int
    shown: int  # items in the gallery
    pictures: int
    missing_pictures: int


def write_evaluation_page(
    places: Sequence[str],
    out: "str | os.PathLike[str] | None" = None,
    settings: ReportSettings | None = None,
    against: str | None = None,
) -> Path:
    """Writes the page of evaluations to the file `out`, or to report.html of the first; see `evaluation_page`."""
    return save(evaluation_page(places, settings, against).html, Folder.of(places[0]), out)


def evaluation_page(
    places: Sequence[str], settings: ReportSettings | None = None, against: str | None = None
) -> EvaluationPage:
    """The page of evaluation folders: one file, no network. Equal folders and settings give equal bytes.

    Other models are compared with the one called `against`, by default the first. Runs of one model that differ in their seed
    alone are folded into one. InputError when a folder is no evaluation, none has a result, or no model has that name.
    """
    settings = settings or ReportSettings()
    others = [place for place in places if not is_evaluation(place)]
    if others:
        raise InputError(f"{others[0]} is no evaluation (it has no evaluation.json); only evaluations share a page")
    board = Board.of(models_of(places))
    context = _context(board, _reference(board, against))
    benches = {task: bench for task in board.benches if (bench := board.bench(task))}
    budget = int(settings.max_megabytes * 1e6) - len(_render(context, board, Gallery())) - FURNITURE
    gallery = _gallery(board, benches, settings, budget)
    made = _render(context, board, gallery)
    counts = (len(board.models), len(board.benches), len(gallery.cards), len(gallery.thumbnails), gallery.missing)
    return EvaluationPage(made, *counts)


def _reference(board: Board, against: str | None) -> Model:
    if against is None:
        return board.models[0]
    found = next((model for model in board.models if model.is_called(against)), None)
    if found is None:
        raise InputError(f"no model is called {against!r}; there are {', '.join(model.name for model in board.models)}")
    return found


def _context(board: Board, reference: Model) -> dict[str, Any]:
    shots = {task: board.focus(task) for task in board.tasks}
    asked = [task for task in board.benches if not task.alone]
    alone = [task for task in board.benches if task.alone]
    main = asked or alone
    gains = gains_of(board, reference, main, shots)
    tampered = controls(board, asked, {task: board.control_focus(task) for task in asked})
    return {
        "models": board.models,
        "seeds": any(len(model.runs) > 1 for model in board.models),
        "reference": reference,
        "benches": len(board.benches),
        "warnings": board.warnings,
        "headline": headline(board, gains, main, shots),
        "bands": bands(board, main, shots),
        "numbers": numbers(board),
        "gains": gain_bands(gains, main, shots),
        "gain_models": gains.models,
        "gain_rows": gain_rows(gains, main),
        "charts": charts(board, [task for task in board.tasks if not task.alone]),
        "controls": tampered,
        "above": above_chance(tampered),
        "skills": _skills(board, reference, alone, asked),
        "costs": costs(board),
        "facts": facts_of(board),
    }


def _skills(board: Board, reference: Model, alone: list[Task], asked: list[Task]) -> list[tuple[str, Skill]]:
    pairs = [("Single pictures", alone), ("The benchmarks above, asked without demonstrations", asked)]
    tables = [(title, skill(board, held, _at_none(board, reference, held))) for title, held in pairs if held]
    return [(title, table) for title, table in tables if table.rows]


def _at_none(board: Board, reference: Model, tasks: list[Task]) -> Gains | None:
    return gains_of(board, reference, tasks, dict.fromkeys(tasks, 0)) if len(board.models) > 1 else None


def _gallery(board: Board, benches: dict[Task, Bench], settings: ReportSettings, budget: int) -> Gallery:
    found = exhibits(board, benches, settings.max_episodes, settings.seed)
    album = Album(Hall(list(benches.values())), settings)
    return hang(found, lambda one, number, album: card_of(board, one, number, album), album, budget)


def _render(context: dict[str, Any], board: Board, gallery: Gallery) -> bytes:
    from jinja2.utils import htmlsafe_json_dumps

    plain = {"cards": gallery.cards, "pictures": gallery.thumbnails, "outcomes": outcome_order(board)}
    data = htmlsafe_json_dumps(plain, sort_keys=True, separators=(",", ":"))
    script = asset("kit.js") + asset("evaluation/gallery.js")
    return page("evaluation/page.html", {**context, "gallery": gallery, "data": data}, script)
