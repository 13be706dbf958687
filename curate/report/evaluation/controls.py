"""Controls beside the score, what answerers without a model get, and single-image skill before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curate.evaluations import CONDITIONS
from curate.report.charts import Whisker, whisker
from curate.report.evaluation.board import TAMPERED, Board, Score, Task
from curate.report.evaluation.gains import Gains
from curate.report.evaluation.scores import Cell, cell_of, gain_cell, plural
from curate.report.wording import words

HEADS = {
    "full": "as they are", "invariant": "every arrangement", "none": "none", "text": "without pictures",
    "shuffled": "answers shuffled", "swapped": "pictures swapped",
}  # fmt: skip
"""Columns: what was done with the demonstrations."""


@dataclass(frozen=True)
class Figure:
    """A score in a column of controls."""

    head: str
    picture: Markup
    said: str
    small: str
    failed: bool  # above chance where the demonstrations tell nothing


@dataclass(frozen=True)
class Control:
    """A benchmark: its models under all conditions."""

    title: str
    what: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, int, Sequence[Figure | None], str]]  # model, colour, figures, what it copies
    baselines: Sequence[tuple[str, str]]  # answerer without a model, score


@dataclass(frozen=True)
class Skill:
    """Questions without demonstrations: a row a benchmark, a pair of cells a model (score, change)."""

    rows: Sequence[tuple[str, str, Sequence[tuple[Cell, Cell | None]]]]  # benchmark, chance


def controls(board: Board, tasks: Sequence[Task], shots: Mapping[Task, int]) -> list[Control]:
    """One for each benchmark that has demonstrations, at the number of shots given for it."""
    return [_control(board, task, shots[task]) for task in tasks if shots[task]]


def above_chance(found: Sequence[Control]) -> tuple[int, int]:
    """Scores that are above chance though the demonstrations tell nothing, and how many were looked at."""
    tampered = {HEADS[name] for name in TAMPERED}
    figures = [
        figure for control in found for *_, row, _ in control.rows for figure in row if figure and figure.head in tampered
    ]
    return sum(figure.failed for figure in figures), len(figures)


def _control(board: Board, task: Task, shots: int) -> Control:
    chance = task.chance.get(shots)
    table = {
        model.series: {name: board.score(model, task, name, 0 if name == "none" else shots) for name in CONDITIONS}
        for model in board.models
    }
    seen = [name for name in CONDITIONS if any(scores[name] for scores in table.values())]
    sure = any(scores["full"] and scores["full"].invariant is not None for scores in table.values())
    heads = [head for head in HEADS if head in seen or (head == "invariant" and sure)]
    rows = []
    for model in board.models:
        scores = table[model.series]
        figures = [_figure(head, scores, task, chance) for head in heads]
        if any(figures):
            rows.append((model.name, model.series, figures, _copies(scores["full"])))
    return Control(task.label, plural(shots, "shot"), [HEADS[head] for head in heads], rows, _baselines(task, shots))


def _figure(head: str, scores: Mapping[str, Score | None], task: Task, chance: float | None) -> Figure | None:
    if head == "invariant":
        return _invariant(scores["full"], task)
    score = scores[head]
    if score is None:
        return None
    failed = head in TAMPERED and chance is not None and score.low > chance
    judged = head == "full" or failed
    said, small = task.said(score.value), f"{task.said(score.low)}–{task.said(score.high)}"
    title = f"{HEADS[head]}: {said}, {small}"
    share, low, high, guess = (value / task.top for value in (score.value, score.low, score.high, chance or 0.0))
    return Figure(HEADS[head], whisker(Whisker(share, low, high, guess, judged, failed, title)), said, small, failed)


def _invariant(score: Score | None, task: Task) -> Figure | None:
    """The share of questions that are right in all their arrangements."""
    if score is None or score.invariant is None:
        return None
    said = f"{100 * score.invariant:.1f}"
    drawn = Whisker(score.invariant, score.invariant, score.invariant, 0.0, True, False, f"{HEADS['invariant']}: {said}")
    return Figure(HEADS["invariant"], whisker(drawn), said, f"of {score.groups:,}", False)


def _copies(score: Score | None) -> str:
    """How often the answer is that of a demonstration."""
    known = score.copies if score else {}
    return ", ".join(f"{words(name)} {100 * value:.0f} %" for name, value in known.items())


def _baselines(task: Task, shots: int) -> list[tuple[str, str]]:
    known = dict(task.baselines.get(shots, {}))
    chance = task.chance.get(shots)
    if chance is not None:
        known = {"chance": chance} | known
    return [("kNN" if name == "knn" else words(name), task.said(value)) for name, value in known.items()]


def skill(board: Board, tasks: Sequence[Task], gains: Gains | None) -> Skill:
    """Scores at 0 shots, beside the reference's; `gains` are those at 0 shots."""
    rows = []
    for task in tasks:
        cells = []
        for model in board.models:
            score = board.score(model, task, "none", 0)
            gain = gains.of.get((model.series, task)) if gains else None
            cells.append((cell_of(score, task), gain_cell(gain, task) if gain else None))
        if any(cell.said != "–" for cell, _ in cells):
            rows.append((task.label, task.said(task.chance.get(0)), cells))
    return Skill(rows)
