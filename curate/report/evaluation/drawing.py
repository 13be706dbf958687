"""Scores as inline SVG: intervals of many models under one another, and curves over the number of shots.

Classes `m0` to `m7` of the style sheet are the models' colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curate.report.charts import HEIGHT, Axis, number, svg

STEP = 11
"""Pixels between the intervals of a band."""
WIDE = 1000
"""Units of the horizontal axis inside the drawing of lines."""
DODGE = 5.0
"""Pixels between the intervals of neighbouring models at one number of shots."""


@dataclass(frozen=True)
class Span:
    """An interval with its dot, and a small dot for every run behind it."""

    series: int
    value: float
    low: float | None
    high: float | None
    title: str  # said on hover
    runs: Sequence[float] = ()


@dataclass(frozen=True)
class Mark:
    """A place that a band is crossed at, such as chance."""

    kind: str  # a class: chance, knn
    at: float


@dataclass(frozen=True)
class Curve:
    """A model's scores at some numbers of shots."""

    series: int
    points: Sequence[tuple[int, Span]]  # place on the horizontal axis (0, 1, 2, ...), what stands there


@dataclass(frozen=True)
class Guide:
    """A reference without an interval over the shots: chance, kNN."""

    kind: str  # a class
    points: Sequence[tuple[int, float]]
    title: str


def band(spans: Sequence[Span], axis: Axis, marks: Sequence[Mark], label: str) -> Markup:
    """Intervals under one another on an axis that several bands share."""
    tall = max(34, STEP * len(spans) + 12)
    first = (tall - STEP * (len(spans) - 1)) / 2
    line = Markup('<line class="{}" x1="{}%" x2="{}%" y2="{}"/>')
    back = [line.format("grid", axis.x(t.at), axis.x(t.at), tall) for t in axis.ticks]
    back += [line.format(mark.kind, axis.x(mark.at), axis.x(mark.at), tall) for mark in marks]
    drawn = [_across(span, axis, number(first + STEP * place)) for place, span in enumerate(spans)]
    return svg("forest spans", tall, label, Markup("").join(back + drawn))


def _across(span: Span, axis: Axis, y: str) -> Markup:
    parts = []
    if span.low is not None and span.high is not None:
        line = Markup('<line class="span" x1="{0}%" x2="{1}%" y1="{2}" y2="{2}"/>')
        parts.append(line.format(axis.x(span.low), axis.x(span.high), y))
    parts += [Markup('<circle class="run" cx="{}%" cy="{}" r="2"/>').format(axis.x(run), y) for run in span.runs]
    parts.append(Markup('<circle class="mean" cx="{}%" cy="{}" r="4"/>').format(axis.x(span.value), y))
    return Markup('<g class="m{}"><title>{}</title>{}</g>').format(span.series, span.title, Markup("").join(parts))


def curves(lines: Sequence[Curve], guides: Sequence[Guide], places: Sequence[str], levels: Sequence[tuple[float, str]],
           y_label: str) -> Markup:  # fmt: skip
    """Scores against shots: `places` are the labels of the horizontal axis, equally far apart; `levels` those of the other."""
    top = levels[-1][0]
    parts = [_level(_y(at, top), said) for at, said in levels]
    parts += [_guide(guide, len(places), top) for guide in guides]
    middle = (len(lines) - 1) / 2
    parts += [_curve(line, len(places), top, DODGE * (at - middle)) for at, line in enumerate(lines)]
    tick = Markup('<text class="x" x="{}%" y="{}">{}</text>')
    parts += [tick.format(number(_x(at, len(places))), HEIGHT + 17, said) for at, said in enumerate(places)]
    parts.append(Markup('<text class="caption" x="-40" y="-14">{}</text>').format(y_label))
    parts.append(Markup('<text class="caption x" x="50%" y="{}">shots</text>').format(HEIGHT + 35))
    group = Markup('<g transform="translate(0 26)">{}</g>').format(Markup("").join(parts))
    return svg("plot spans", HEIGHT + 62, f"Curves: {y_label} by shots", group)


def _x(place: int, places: int) -> float:
    return 100 * (place + 0.5) / places


def _y(value: float, top: float) -> float:
    return HEIGHT * (1 - min(1.0, max(0.0, value / top)))


def _level(y: float, said: str) -> Markup:
    line = '<line class="grid" x2="100%" y1="{0}" y2="{0}"/><text class="y" x="-8" y="{0}" dy=".35em">{1}</text>'
    return Markup(line).format(number(y), said)


def _stretched(points: Sequence[tuple[int, float]], places: int, top: float) -> Markup:
    """A line through points in a drawing that stretches with the page."""
    path = " ".join(f"{number(WIDE / 100 * _x(at, places))},{number(_y(value, top))}" for at, value in points)
    inner = Markup('<svg class="lines" width="100%" height="{0}" viewBox="0 0 {1} {0}" preserveAspectRatio="none">{2}</svg>')
    return inner.format(HEIGHT, WIDE, Markup('<polyline points="{}"/>').format(path))


def _guide(guide: Guide, places: int, top: float) -> Markup:
    shape = _stretched(guide.points, places, top)
    if len(guide.points) == 1:  # a reference at one number of shots: a short line there
        at, value = guide.points[0]
        line = Markup('<line x1="{0}%" x2="{1}%" y1="{2}" y2="{2}"/>')
        shape = line.format(number(_x(at, places) - 6), number(_x(at, places) + 6), number(_y(value, top)))
    return Markup('<g class="guide {}"><title>{}</title>{}</g>').format(guide.kind, guide.title, shape)


def _curve(line: Curve, places: int, top: float, dodge: float) -> Markup:
    parts = [_stretched([(at, span.value) for at, span in line.points], places, top)] if len(line.points) > 1 else []
    parts += [_upright(span, number(_x(at, places)), top) for at, span in line.points]
    group = Markup('<g class="m{}" transform="translate({} 0)">{}</g>')
    return group.format(line.series, number(dodge), Markup("").join(parts))


def _upright(span: Span, x: str, top: float) -> Markup:
    parts = []
    if span.low is not None and span.high is not None:
        whisker = Markup('<line class="span" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>')
        parts.append(whisker.format(x, number(_y(span.low, top)), number(_y(span.high, top))))
    parts += [Markup('<circle class="run" cx="{}%" cy="{}" r="2"/>').format(x, number(_y(run, top))) for run in span.runs]
    parts.append(Markup('<circle class="mean" cx="{}%" cy="{}" r="3.5"/>').format(x, number(_y(span.value, top))))
    return Markup("<g><title>{}</title>{}</g>").format(span.title, Markup("").join(parts))
