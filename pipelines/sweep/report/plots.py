"""Curves with their intervals, and dots against two axes, as inline SVG in the manner of curate/report/charts.py."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from curate.report.charts import HEIGHT, number, svg
from curate.report.training.lines import Scale, nice, said, scale_of
from pipelines.sweep.report.ternary import diamond
from pipelines.sweep.report.wording import figure

WIDE = 1000
"""Units of the horizontal axis inside a drawing that stretches."""


WILD = 0.6
"""How far beyond what was measured a prediction may lie before it stands at the edge, in widths of what was measured."""


@dataclass(frozen=True)
class Dot:
    """A trial, or a mix."""

    x: float
    y: float
    title: str
    kind: str = "trial"  # trial, prior, front, proposal


@dataclass(frozen=True)
class Curve:
    """A mean with its interval over shares."""

    shares: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    title: str


@dataclass(frozen=True)
class Frame:
    """Two axes in data units."""

    low: float
    high: float
    ticks: Sequence[float]
    scale: Scale
    percent: bool = False  # the horizontal axis has shares

    def x(self, value: float) -> float:
        """A place in per cent of the width."""
        return 100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return self.scale.y(value)

    def corner(self, x: float, y: float) -> str:
        """A place inside a drawing that stretches."""
        return f"{number(WIDE / 100 * self.x(x))},{number(self.y(y))}"

    def drawn(self, inside: Sequence[Markup], x_label: str, y_label: str, title: str) -> Markup:
        """The axes around what is inside."""
        level = Markup('<line class="grid" x2="100%" y1="{0}" y2="{0}"/><text class="y" x="-8" y="{0}" dy=".35em">{1}</text>')
        parts = [level.format(number(self.y(at)), figure(at)) for at in self.scale.levels]
        tick = Markup('<text class="x" x="{}%" y="{}">{}</text>')
        shown = (said(100 * at) if self.percent else figure(at) for at in self.ticks)
        parts += [
            *inside,
            *(tick.format(number(self.x(at)), HEIGHT + 17, told) for at, told in zip(self.ticks, shown, strict=True)),
        ]
        parts.append(Markup('<text class="caption" x="-40" y="-14">{}</text>').format(y_label))
        parts.append(Markup('<text class="caption x" x="50%" y="{}">{}</text>').format(HEIGHT + 35, x_label))
        group = Markup('<g transform="translate(0 26)">{}</g>').format(Markup("").join(parts))
        return svg("plot sweep", HEIGHT + 62, title, group)


def curve_plot(one: Curve, prior: float | None, dots: Sequence[Dot], x_label: str, y_label: str, scale: Scale) -> Markup:
    """A curve; `prior` is where a dashed line says that the prior has its share."""
    low, high = min(one.shares), max(one.shares)
    low, high = (low, high) if high > low else (low - 0.01, high + 0.01)
    ticks = [at for at in nice(low, high, 5) if low - 1e-9 <= at <= high + 1e-9]
    frame = Frame(low, high, ticks, scale, percent=True)
    above = " ".join(frame.corner(x, y) for x, y in zip(one.shares, one.high, strict=True))
    below = " ".join(frame.corner(x, y) for x, y in reversed([*zip(one.shares, one.low, strict=True)]))
    middle = " ".join(frame.corner(x, y) for x, y in zip(one.shares, one.mean, strict=True))
    shapes = Markup('<polygon class="ribbon" points="{} {}"/><polyline class="l0" points="{}"/>').format(above, below, middle)
    parts = [_stretched(Markup("<g><title>{}</title>{}</g>").format(one.title, shapes))]
    if prior is not None and low <= prior <= high:
        line = Markup('<line class="mark" x1="{0}%" x2="{0}%" y2="{1}"><title>prior</title></line>')
        parts.append(line.format(number(frame.x(prior)), HEIGHT))
    parts += [_dot(frame, dot) for dot in dots]
    return frame.drawn(parts, x_label, y_label, one.title)


def is_wild(x: float, ys: Sequence[float]) -> bool:
    """Whether a prediction stands at the edge."""
    return not min(ys) - WILD * (max(ys) - min(ys)) <= x <= max(ys) + WILD * (max(ys) - min(ys))


def common_scale(curves: Sequence[Curve], dots: Sequence[Dot] = ()) -> Scale:
    """One vertical axis for plots that stand beside each other."""
    return scale_of([value for one in curves for side in (one.low, one.high) for value in side] + [dot.y for dot in dots])


def against_plot(dots: Sequence[Dot], noise: float, x_label: str, y_label: str, title: str) -> Markup:
    """Predicted across, actual upwards: on the diagonal they agree; the ribbon is as wide as seeds scatter. Predictions that
    are wild, and would squeeze all others, stand at the edge."""
    low, high = min(dot.y for dot in dots), max(dot.y for dot in dots)
    room = WILD * (high - low)
    dots = [replace(dot, x=min(max(dot.x, low - room), high + room)) for dot in dots]
    frame = _frame(dots, same=True)
    ends = (frame.low, frame.high)
    ribbon = [frame.corner(x, x + noise) for x in ends] + [frame.corner(x, x - noise) for x in reversed(ends)]
    shape = Markup('<polygon class="ribbon" points="{}"/>').format(" ".join(ribbon)) if noise > 0 else Markup("")
    line = Markup('<polyline class="diagonal" points="{}"/>').format(" ".join(frame.corner(x, x) for x in ends))
    return frame.drawn([_stretched(shape + line), *(_dot(frame, dot) for dot in dots)], x_label, y_label, title)


def front_plot(dots: Sequence[Dot], x_label: str, y_label: str, title: str) -> Markup:
    """Dots, and a stair through those of the front, which no other beats in both."""
    frame = _frame(dots)
    front = sorted((dot for dot in dots if dot.kind.startswith("front")), key=lambda dot: -dot.x)
    steps = [(dot.x, dot.y) for dot in front]
    corners = [place for a, b in zip(steps, [*steps[1:], None], strict=True) for place in ([a, (a[0], b[1])] if b else [a])]
    stair = [(steps[0][0], frame.scale.low), *corners, (frame.low, steps[-1][1])] if steps else []
    path = Markup('<polyline class="diagonal" points="{}"/>').format(" ".join(frame.corner(x, y) for x, y in stair))
    return frame.drawn([_stretched(path), *(_dot(frame, dot) for dot in dots)], x_label, y_label, title)


def _frame(dots: Sequence[Dot], same: bool = False) -> Frame:
    xs, ys = [dot.x for dot in dots], [dot.y for dot in dots]
    across, up = (scale_of([*xs, *ys]),) * 2 if same else (scale_of(xs), scale_of(ys))
    levels = across.levels if len(across.levels) <= 6 else across.levels[::2]
    return Frame(across.low, across.high, levels, up)


def _stretched(inside: Markup) -> Markup:
    inner = Markup('<svg class="lines" width="100%" height="{0}" viewBox="0 0 {1} {0}" preserveAspectRatio="none">{2}</svg>')
    return inner.format(HEIGHT, WIDE, inside)


def _dot(frame: Frame, dot: Dot) -> Markup:
    x, y = number(frame.x(dot.x)), number(frame.y(dot.y))
    if dot.kind == "proposal":
        place = Markup('<svg x="{}%" y="{}" overflow="visible"><path class="proposal" d="{}"/></svg>')
        shape = place.format(x, y, diamond(0, 0, 8))
    else:
        shape = Markup('<circle class="{}" cx="{}%" cy="{}" r="{}"/>').format(
            dot.kind, x, y, "5.5" if "prior" in dot.kind else "4.5"
        )
    return Markup('<g class="mark"><title>{}</title>{}</g>').format(dot.title, shape)
