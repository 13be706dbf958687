"""Line plots as inline SVG, in the manner of curate/report/charts.py: text keeps its size, lines stretch with the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from curate.report.charts import COLOURS, HEIGHT, number, svg
from curate.report.training.curves import Points

WIDE = 1000
"""Units of the horizontal axis inside the drawing."""

Style = Literal["line", "faint", "dashed", "dots"]


@dataclass(frozen=True)
class Line:
    """A curve in the colour of a series."""

    series: int
    points: Points
    title: str  # said on hover
    style: Style = "line"


@dataclass(frozen=True)
class Scale:
    """A vertical axis in data units; `log` shows powers."""

    low: float
    high: float
    levels: tuple[float, ...]
    log: bool = False

    def y(self, value: float) -> float:
        """Pixels from the top; what lies outside stays at the edge."""
        value, low, high = (math.log10(max(v, 1e-30)) if self.log else v for v in (value, self.low, self.high))
        return HEIGHT * (1 - min(1.0, max(0.0, (value - low) / (high - low))))


def line_plot(lines: Sequence[Line], x_label: str, y_label: str, log: bool = False, zero: bool = False) -> Markup:
    """Curves over a common axis; `zero`: the vertical axis begins at 0."""
    steps = [x for line in lines for x, _ in line.points]
    low, high = min(steps), max(steps)
    low, high = (low, high) if high > low else (low - 1, high + 1)
    scale = scale_of([y for line in lines for _, y in line.points], log, zero)
    drawn = Markup("").join(_line(line, scale, low, high) for line in lines)
    inner = Markup('<svg class="lines" width="100%" height="{0}" viewBox="0 0 {1} {0}" preserveAspectRatio="none">{2}</svg>')
    ticks = [t for t in nice(low, high, 6) if low <= t <= high]
    tick = Markup('<text class="x" x="{}%" y="{}">{}</text>')
    parts = [_level(level, scale) for level in scale.levels]
    parts.append(inner.format(HEIGHT, WIDE, drawn))
    parts += [tick.format(number(100 * (t - low) / (high - low)), HEIGHT + 17, said(t)) for t in ticks]
    parts.append(Markup('<text class="caption" x="-40" y="-14">{}</text>').format(y_label))
    parts.append(Markup('<text class="caption x" x="50%" y="{}">{}</text>').format(HEIGHT + 35, x_label))
    group = Markup('<g transform="translate(0 26)">{}</g>').format(Markup("").join(parts))
    return svg("plot", HEIGHT + 62, f"Curves: {y_label} by {x_label}", group)


def scale_of(values: Sequence[float], log: bool = False, zero: bool = False) -> Scale:
    """An axis around values, with round levels."""
    low, high = min(values), max(values)
    if log and low > 1e-12:
        bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high))
        top = max(top, bottom + 1)
        step = max(1, -(-(top - bottom) // 5))
        return Scale(10.0**bottom, 10.0**top, tuple(10.0**power for power in range(bottom, top + 1, step)), True)
    low = min(low, 0.0) if zero else low
    if high - low < max(1e-9 * abs(high), 1e-9 * abs(low), 1e-30):
        low, high = low - max(abs(low) / 10, 1e-9), high + max(abs(high) / 10, 1e-9)
    levels = nice(low, high, 4)
    return Scale(levels[0], levels[-1], tuple(levels))


def nice(low: float, high: float, about: int) -> list[float]:
    """Round numbers from at most `low` to at least `high`: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{step * at:.12g}") for at in range(first, max(last, first + 1) + 1)]


def said(value: float) -> str:
    """A number on an axis or in a table, four digits: 12.3k, 0.25, 2e-5."""
    if value and abs(value) < 0.001:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else mantissa
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{sign}"
    return f"{value:.4g}"


def _level(level: float, scale: Scale) -> Markup:
    line = '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/><text class="y" x="-8" y="{0}" dy=".35em">{1}</text>'
    return Markup(line).format(number(scale.y(level)), said(level))


def _line(line: Line, scale: Scale, low: float, high: float) -> Markup:
    places = [(number(WIDE * (x - low) / (high - low)), number(scale.y(y))) for x, y in line.points]
    shapes = [] if line.style == "dots" else [_curve(places, line)]
    if line.style == "dots" or len(places) == 1:
        shapes += [_point(x, y, line.series) for x, y in places]
    return Markup("<g><title>{}</title>{}</g>").format(line.title, Markup("").join(shapes))


def _curve(places: Sequence[tuple[str, str]], line: Line) -> Markup:
    path = " ".join(f"{x},{y}" for x, y in places)
    return Markup('<polyline class="l{} {}" points="{}"/>').format(line.series % COLOURS, line.style, path)


def _point(x: str, y: str, series: int) -> Markup:
    """A round point: a stroke of no length keeps its shape where the drawing is stretched."""
    return Markup('<path class="l{} point" d="M{} {}h0"/>').format(series % COLOURS, x, y)
