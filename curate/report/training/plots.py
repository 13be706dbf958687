"""The plots of training runs: of one run its parts in colours, of several each run in its own."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from curate.report.charts import COLOURS
from curate.report.plots import Plot
from curate.report.training.curves import Curves, Points, Row, smoothed, thinned
from curate.report.training.lines import Line, line_plot, said
from curate.report.wording import short, words

AXES = {"source": "source", "format": "format", "shots": "shot position"}
LONGEST_TABLE = 12
"""Steps in a plot's table."""
MOST_VALUES = 4
"""Values of an axis that have a plot of their own where several runs are overlaid."""
DASHED = " Dashed lines with dots are validation."
NAME = 60
"""Characters of a name in a legend."""
SHARE = 0.1
"""Of a run's rows that count as its beginning or its end."""


@dataclass(frozen=True)
class Figure:
    """A logged figure that has a plot."""

    title: str
    note: str
    unit: str
    name: str  # of the figure in a row
    only: str = ""  # what under it is drawn of several runs; "" for the largest
    log: bool = False
    zero: bool = True
    times: float = 1.0
    rough: bool = True  # smoothed over what was logged


FIGURES = (
    Figure("Learning rate", "By part of the model.", "learning rate", "lr", rough=False),
    Figure(
        "Gradient norm", "Of the whole gradient before clipping; powers of ten.", "norm", "grad_norm", log=True, zero=False
    ),
    Figure("Tokens a second", "Of all ranks; real positions are those without padding.", "tokens/s", "tokens_per_s", "real"),
    Figure("Waiting for data", "Share of the time that went into waiting for a batch.", "%", "data_wait", times=100),
    Figure(
        "Model flops utilisation",
        "What the model asks for, of what the devices can do.",
        "%",
        "mfu",
        times=100,
    ),
)


@dataclass(frozen=True)
class Series:
    """A named curve, with what validation measured of the same, if anything."""

    name: str
    points: Points
    validation: Points = field(default_factory=list)
    rough: bool = True


def loss_plots(runs: Sequence[Curves]) -> list[Plot]:
    """The loss, and its parts by source, format and shot position."""
    plots = [loss_plot(runs)]
    for axis in AXES:
        plots += by_axis(runs[0], axis) if len(runs) == 1 else overlaid(runs, axis)
    plots.append(along_the_shots(runs))
    return [plot for plot in plots if plot is not None]


def pace_plots(runs: Sequence[Curves]) -> list[Plot]:
    """Learning rate, gradient norm, tokens a second, data wait, MFU."""
    plots = [_figure(runs, figure) for figure in FIGURES]
    return [plot for plot in plots if plot is not None]


def loss_plot(runs: Sequence[Curves]) -> Plot | None:
    """Training and validation over the steps."""
    series = [Series(short(run.name, NAME), run.of("loss"), run.of("loss", kind="validation")) for run in runs]
    note = "Faint lines are what was logged, full ones are smoothed."
    if len(runs) > 1:
        return _plot("Loss", f"{note}{DASHED}", series, "loss")
    alone = [Series("training", series[0].points)]
    alone += [Series("validation", [], series[0].validation)] if series[0].validation else []
    return _plot("Loss", f"Mean over the supervised tokens. {note}", alone, "loss")


def by_axis(run: Curves, axis: str) -> list[Plot]:
    """One run's loss by the values of an axis; nothing where there is only one."""
    values = run.values(axis)
    chosen = _spread(values) if axis == "shots" else values[:COLOURS]
    if len(values) < 2:
        return []
    series = [Series(_named(axis, value), run.of("losses", axis, value, "loss")) for value in chosen]
    left_out = len(values) - len(chosen)
    note = "How many demonstrations stand before the answer." if axis == "shots" else "Largest first, by supervised tokens."
    plot = _plot(f"Loss by {AXES[axis]}", note + (f" {left_out:,} more are not drawn." if left_out else ""), series, "loss")
    return [plot] if plot else []


def overlaid(runs: Sequence[Curves], axis: str) -> list[Plot]:
    """The runs' losses on the values that most of their tokens are of, a plot for each value."""
    if axis == "shots":
        return []  # along_the_shots says it in one plot
    values = list(dict.fromkeys(value for run in runs for value in run.values(axis)))
    if len(values) < 2:
        return []
    plots = []
    for value in values[:MOST_VALUES]:
        paths = ("losses", axis, value, "loss")
        series = [Series(short(run.name, NAME), run.of(*paths), run.of(*paths, kind="validation")) for run in runs]
        note = "Training." + (DASHED if any(one.validation for one in series) else "")
        plots.append(_plot(f"Loss on {AXES[axis]} {_named(axis, value)}", note, series, "loss"))
    return [plot for plot in plots if plot is not None]


def along_the_shots(runs: Sequence[Curves]) -> Plot | None:
    """The loss as demonstrations add up: falling to the right is what in-context learning looks like."""
    many, series = len(runs) > 1, []
    for run in runs:
        count = max(1, round(SHARE * len(run.train)))
        name = short(run.name, NAME)
        held_out = _along(run, run.validation[-1:])
        series.append(Series(name if many else "end", _along(run, run.train[-count:]), held_out if many else []))
        if not many:
            series.append(Series("beginning", _along(run, run.train[:count])))
            series += [Series("validation", [], held_out)] if held_out else []
    if not any(len(one.points) > 1 for one in series):
        return None
    note = f"Mean loss at the {'end' if many else 'beginning and at the end'} of training ({SHARE:.0%} of its rows)."
    note += " The last validation is dashed." if any(one.validation for one in series) else ""
    return _plot("Loss along the shots", note, series, "loss", "demonstrations before the answer")


def _along(run: Curves, rows: Sequence[Row]) -> Points:
    means = ((value, run.mean("shots", value, rows)) for value in run.values("shots") if value.isdigit())
    return [(float(value), mean) for value, mean in means if mean is not None]


def _figure(runs: Sequence[Curves], figure: Figure) -> Plot | None:
    """Of one run with all that stands under it, of several runs in one curve each."""
    if len(runs) == 1:
        found = [(words(name), runs[0].of(figure.name, name)) for name in runs[0].keys(figure.name)[:COLOURS]]
        found = found or [(figure.title, runs[0].of(figure.name))]
    else:
        found = [(short(run.name, NAME), _of_run(run, figure)) for run in runs]
    series = [Series(name, [(x, figure.times * y) for x, y in points], rough=figure.rough) for name, points in found]
    return _plot(figure.title, figure.note, series, figure.unit, log=figure.log, zero=figure.zero)


def _of_run(run: Curves, figure: Figure) -> Points:
    names = [figure.only] if figure.only else run.keys(figure.name)
    if not names:
        return run.of(figure.name)
    highest: dict[float, float] = {}
    for name in names:
        for step, value in run.of(figure.name, name):
            highest[step] = max(value, highest.get(step, value))
    return sorted(highest.items())


def _plot(title: str, note: str, series: Sequence[Series], y_label: str, x_label: str = "step", log: bool = False,
          zero: bool = False) -> Plot | None:  # fmt: skip
    lines = [line for place, one in enumerate(series) for line in _lines(place, one)]
    if not lines:
        return None
    picture = line_plot(lines, x_label, y_label, log, zero)
    names = [one.name for one in series]
    return Plot(title, note, picture, names, (x_label, *_columns(series)), _table(series))


def _lines(place: int, series: Series) -> list[Line]:
    drawn = []
    if series.points:
        mean = smoothed(series.points) if series.rough else series.points
        if mean is not series.points:
            drawn.append(Line(place, thinned(series.points), f"{series.name}, as logged", "faint"))
        drawn.append(Line(place, thinned(mean), f"{series.name}, {said(mean[0][1])} to {said(mean[-1][1])}"))
    if series.validation:
        last = series.validation[-1][1]
        drawn.append(Line(place, series.validation, f"{series.name}, validation, {said(last)} at last", "dashed"))
        drawn.append(Line(place, series.validation, f"{series.name}, validation", "dots"))
    return drawn


def _columns(series: Sequence[Series]) -> list[str]:
    named = []
    for one in series:
        named += [one.name] if one.points else []
        named += [f"{one.name}, validation" if one.points else one.name] if one.validation else []
    return named


def _table(series: Sequence[Series]) -> list[list[str]]:
    """A dozen places from the first to the last, and what each curve says there or said last before."""
    curves = [points for one in series for points in (one.points, one.validation) if points]
    places = sorted({x for points in curves for x, _ in points})
    last = len(places) - 1
    chosen = sorted({round(last * at / (LONGEST_TABLE - 1)) for at in range(LONGEST_TABLE)})
    return [[f"{places[at]:,.0f}", *(_before(points, places[at]) for points in curves)] for at in chosen]


def _before(points: Points, place: float) -> str:
    found = bisect_right(points, place, key=lambda point: point[0])
    return said(points[found - 1][1]) if found else "–"


def _spread(values: list[str]) -> list[str]:
    """At most as many shot positions as there are colours: few shots closely, many shots apart."""
    if len(values) <= COLOURS:
        return values
    chosen = [place for place in (0, 1, 2, 4, 8) if place < len(values) - 1]
    return [values[place] for place in [*chosen, len(values) - 1]]


def _named(axis: str, value: str) -> str:
    return short(words(value), NAME) if axis != "shots" else f"{short(value, NAME)} shot{'' if value == '1' else 's'}"
