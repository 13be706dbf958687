"""Scores as the page shows them: bands at one number of shots, gains over the reference, curves over the shots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curate.report.charts import Axis, Tick, forest_axis, nice_ticks
from curate.report.evaluation.board import Board, Score, Task
from curate.report.evaluation.drawing import Curve, Guide, Mark, Span, band, curves
from curate.report.evaluation.gains import Gain, Gains
from curate.report.evaluation.models import Model
from curate.report.training.lines import nice

KNN = "knn"
MINUS = "\N{MINUS SIGN}"
SHARES = Axis(0.0, 1.0, [Tick(at / 4, f"{25 * at}") for at in range(5)])


@dataclass(frozen=True)
class Band:
    """One benchmark in a list of bands."""

    name: str
    what: str  # a line below the name
    picture: Markup
    best: str  # beside the picture
    beside: str


@dataclass(frozen=True)
class Cell:
    """A figure in a table, with what stands small beside it."""

    said: str
    small: str = ""
    kind: str = ""  # a class


@dataclass(frozen=True)
class Chart:
    """Curves of one benchmark with their numbers."""

    title: str
    note: str
    picture: Markup
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]


def bands(board: Board, tasks: Sequence[Task], shots: Mapping[Task, int]) -> tuple[list[Band], Markup]:
    """Every benchmark's models at its number of shots, and the axis below them."""
    made = [_band(board, task, shots[task]) for task in tasks if task.is_accuracy]
    return made, forest_axis(SHARES, "accuracy in per cent")


def _band(board: Board, task: Task, shots: int) -> Band:
    found = [(model, board.score(model, task, "full", shots)) for model in board.models]
    spans = [span_of(model, score, task) for model, score in found if score]
    chance, knn = task.chance.get(shots), task.baselines.get(shots, {}).get(KNN)
    marks = [Mark(kind, at) for kind, at in (("chance", chance), (KNN, knn)) if at is not None]
    what = f"{plural(shots, 'shot')}, {task.domain}" if task.domain else plural(shots, "shot")
    best = max((score.value for _, score in found if score), default=None)
    beside = f"kNN {task.said(knn)}" if knn is not None else f"chance {task.said(chance)}" if chance is not None else ""
    return Band(task.label, what, band(spans, SHARES, marks, f"{task.label}: {len(spans)} models"), task.said(best), beside)


def span_of(model: Model, score: Score, task: Task) -> Span:
    """A score as it is drawn and said on hover."""
    title = f"{model.name}: {task.said(score.value)}, {task.said(score.low)} to {task.said(score.high)}"
    title += f"; {score.groups:,} questions, {score.items:,} items"
    if len(score.runs) > 1:
        title += f"; seeds {', '.join(map(task.said, score.runs))}"
    return Span(model.series, score.value, score.low, score.high, title, score.runs if len(score.runs) > 1 else ())


def plural(count: int, noun: str) -> str:
    """3 shots, 1 shot."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def charts(board: Board, tasks: Sequence[Task]) -> list[Chart]:
    """Curves over the shots of every benchmark that has several numbers of them, and numbers of all."""
    return [_chart(board, task) for task in tasks]


def _chart(board: Board, task: Task) -> Chart:
    places = {shots: at for at, shots in enumerate(task.shots)}
    lines = []
    for model in board.models:
        found = [(at, board.score(model, task, "full", shots)) for shots, at in places.items()]
        points = [(at, span_of(model, score, task)) for at, score in found if score]
        lines += [Curve(model.series, points)] if points else []
    guides = [_guide(kind, task, places) for kind in ("chance", KNN)]
    picture = curves(lines, [g for g in guides if g.points], [str(s) for s in task.shots], _levels(task), _unit(task))
    head = ("shots", "chance", "kNN", *(model.name for model in board.models))
    return Chart(task.label, task.title, picture, head, [(str(shots), _numbers(board, task, shots)) for shots in task.shots])


def numbers(board: Board) -> list[tuple[str, str, list[Cell]]]:
    """All scores as one table: benchmark, shots, a cell for chance, for kNN and for each model."""
    return [(task.label, str(shots), _numbers(board, task, shots)) for task in board.tasks for shots in task.shots]


def _guide(kind: str, task: Task, places: Mapping[int, int]) -> Guide:
    known = {
        shots: task.chance.get(shots) if kind == "chance" else task.baselines.get(shots, {}).get(kind) for shots in places
    }
    points = [(places[shots], value) for shots, value in known.items() if value is not None]
    said = ", ".join(f"{task.said(value)}" for _, value in points)
    return Guide(kind, points, f"{'kNN' if kind == KNN else kind}: {said}")


def _levels(task: Task) -> list[tuple[float, str]]:
    if task.is_share:
        return [(at / 4, f"{25 * at}") for at in range(5)]
    return [(at / 10, f"{at / 10:g}") for at in nice_ticks(10 * task.top)]


def _unit(task: Task) -> str:
    return "CIDEr" if not task.is_share else "ROUGE-L, %" if task.metric.startswith("rouge") else "accuracy, %"


def _numbers(board: Board, task: Task, shots: int) -> list[Cell]:
    found = [board.score(model, task, "full", shots) for model in board.models]
    best = max((score.value for score in found if score), default=None)
    plain = [Cell(task.said(task.chance.get(shots))), Cell(task.said(task.baselines.get(shots, {}).get(KNN)))]
    return plain + [
        cell_of(score, task, "best" if score and score.value == best and len(found) > 1 else "") for score in found
    ]


def cell_of(score: Score | None, task: Task, kind: str = "") -> Cell:
    """A score with its interval."""
    if score is None:
        return Cell("–")
    return Cell(task.said(score.value), f"{task.said(score.low)}–{task.said(score.high)}", kind)


def gain_bands(gains: Gains, tasks: Sequence[Task], shots: Mapping[Task, int]) -> tuple[list[Band], Markup]:
    """Differences to the reference, in points; the means come first."""
    rows: list[tuple[str, str, list[tuple[Model, Gain]]]] = []
    for domain in dict.fromkeys(name for _, name in gains.means):
        held = [(m, gains.means[m.series, domain]) for m in gains.models if (m.series, domain) in gains.means]
        rows.append((domain or "mean", "mean over its benchmarks" if domain else "of all benchmarks", held))
    for task in tasks:
        found = [(m, gains.of[m.series, task]) for m in gains.models if (m.series, task) in gains.of]
        rows += [(task.label, plural(shots[task], "shot"), found)] if found and task.is_accuracy else []
    if not rows:
        return [], Markup("")
    axis = _axis([gain for *_, held in rows for _, gain in held])
    made = [_gain_band(name, what, held, axis) for name, what, held in rows]
    return made, forest_axis(axis, f"points above or below {gains.reference.name}")


def _gain_band(name: str, what: str, held: Sequence[tuple[Model, Gain]], axis: Axis) -> Band:
    spans = [Span(m.series, g.value, g.low, g.high, f"{m.name}: {points(g)}") for m, g in held]
    best = max((gain for _, gain in held), key=lambda gain: gain.value)
    return Band(
        name, what, band(spans, axis, [Mark("chance", 0.0)], f"{name}: {len(spans)} differences"), _signed(best.value), ""
    )


def _axis(gains: Sequence[Gain]) -> Axis:
    """Round places around all intervals, zero among them."""
    ends = [end for gain in gains for end in (gain.value, gain.low, gain.high) if end is not None]
    places = nice(100 * min(0.0, *ends), max(100 * max(0.0, *ends), 1.0), 5)
    return Axis(
        places[0] / 100, places[-1] / 100, [Tick(at / 100, f"{at:+g}".replace("-", MINUS) if at else "0") for at in places]
    )


def points(gain: Gain) -> str:
    """A gain in words: +12.3 points, +8.1 to +16.0, p 0.002."""
    said = f"{_signed(gain.value)} points"
    if gain.low is not None and gain.high is not None:
        said += f", {_signed(gain.low)} to {_signed(gain.high)}"
    return said + (f", p {p_said(gain.p)}" if gain.p is not None else "")


def gain_rows(gains: Gains, tasks: Sequence[Task]) -> list[tuple[str, list[Cell]]]:
    """The same as a table: benchmark, a cell a model."""
    rows = [(name or "mean", [gain_cell(gains.means.get((m.series, name))) for m in gains.models])
            for name in dict.fromkeys(name for _, name in gains.means)]  # fmt: skip
    return rows + [(task.label, [gain_cell(gains.of.get((m.series, task)), task) for m in gains.models]) for task in tasks]


def gain_cell(gain: Gain | None, task: Task | None = None) -> Cell:
    """A gain with its interval and p-value; good or bad where the interval leaves zero out. `task` is None for means."""
    if gain is None:
        return Cell("–")
    share = task is None or task.is_share
    small = []
    if gain.low is not None and gain.high is not None:
        small.append(f"{_signed(gain.low, share)} to {_signed(gain.high, share)}")
    small += [] if gain.p is None else [f"p {p_said(gain.p)}"]
    return Cell(_signed(gain.value, share), ", ".join(small), {1: "good", -1: "bad", 0: ""}[gain.sure])


def p_said(p: float) -> str:
    """A p-value: three digits after the point, or that it is smaller."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _signed(value: float, share: bool = True) -> str:
    """A difference with its sign: points, or CIDEr."""
    said = f"{100 * value:+.1f}" if share else f"{value:+.2f}"
    return said[1:] if not float(said) else said.replace("-", MINUS)
