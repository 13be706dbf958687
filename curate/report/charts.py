"""Small plots as inline SVG: widths in percent, so that text keeps its size on every screen.

Colours are classes of the style sheet (`s0` to `s5` for series), so that a plot follows the page's theme.
Every word that enters is escaped by Markup.format.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

HEIGHT = 180
"""Pixels of a plot's drawing area; labels come on top."""

COLOURS = 6
"""Series colours that the style sheet has."""


@dataclass(frozen=True)
class Column:
    """One column of a histogram between two places of the horizontal axis, in data units."""

    left: float
    right: float
    counts: Sequence[float]  # stacked, one for each series, bottom first
    title: str  # said on hover
    lines: Sequence[float] = ()  # heights at which a line crosses the column: what was aimed at


@dataclass(frozen=True)
class Tick:
    """A labelled place of the horizontal axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Whisker:
    """A measured share with its interval, and what chance gives."""

    share: float
    low: float
    high: float
    chance: float
    judged: bool  # drawn hollow when not
    failed: bool
    title: str


def number(value: float) -> str:
    """A coordinate: at most two decimals, no trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def compact(value: float) -> str:
    """An axis label: 12k, 1.5M, 250."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


def nice_ticks(highest: float, about: int = 4) -> list[float]:
    """Round numbers from 0 to at least `highest`: steps of 1, 2 or 5 times a power of ten, whole."""
    rough = max(highest, 1) / about
    power = 10 ** math.floor(math.log10(rough))
    step = max(1.0, next(m * power for m in (1, 2, 5, 10) if m * power >= rough))
    return [step * i for i in range(math.ceil(max(highest, 1) / step) + 1)]


def histogram(
    columns: Sequence[Column], ticks: Sequence[Tick], x_label: str, y_label: str, marks: Sequence[Tick] = ()
) -> Markup:
    """Stacked columns over a common axis; `marks` are dashed vertical lines."""
    low, high = min(c.left for c in columns), max(c.right for c in columns)
    levels = nice_ticks(max(sum(c.counts) for c in columns))

    def x(value: float) -> float:
        return 100 * (value - low) / (high - low)

    parts = [_levels(levels)]
    parts += [_column(column, x(column.left), x(column.right), levels[-1]) for column in columns]
    parts += [_mark(mark, x(mark.at)) for mark in marks if low <= mark.at <= high]
    parts += [_tick(x(tick.at), tick.label) for tick in ticks]
    parts.append(_captions(x_label, y_label))
    label = f"Histogram: {y_label} by {x_label}"
    return svg("plot", HEIGHT + 62, label, Markup('<g transform="translate(0 26)">{}</g>').format(Markup("").join(parts)))


def svg(kind: str, height: float, label: str, inside: Markup) -> Markup:
    """A drawing of full width; `label` is what a screen reader says."""
    head = Markup('<svg class="{}" width="100%" height="{}" role="img" aria-label="{}">{}</svg>')
    return head.format(kind, number(height), label, inside)


def _levels(levels: Sequence[float]) -> Markup:
    line = Markup(
        '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/><text class="y" x="-8" y="{0}" dy=".35em">{1}</text>'
    )
    ys = [HEIGHT * (1 - level / levels[-1]) for level in levels]
    return Markup("").join(line.format(number(y), compact(level)) for y, level in zip(ys, levels, strict=True))


def _column(column: Column, left: float, right: float, highest: float) -> Markup:
    boxes, below = [], 0.0
    gap = min(0.25, (right - left) * 0.08)
    for series, count in enumerate(column.counts):
        tall = HEIGHT * count / highest
        if count:
            box = Markup('<rect class="s{}" x="{}%" width="{}%" y="{}" height="{}"/>')
            place = (number(left + gap), number(right - left - 2 * gap), number(HEIGHT - below - tall), number(tall))
            boxes.append(box.format(series % COLOURS, *place))
        below += tall
    boxes += [_aim(left, right, HEIGHT * (1 - height / highest)) for height in column.lines]
    return Markup("<g><title>{}</title>{}</g>").format(column.title, Markup("").join(boxes)) if boxes else Markup("")


def _aim(left: float, right: float, y: float) -> Markup:
    line = Markup('<line class="aim" x1="{0}%" x2="{1}%" y1="{2}" y2="{2}"/>')
    return line.format(number(left), number(right), number(y))


def _mark(mark: Tick, x: float) -> Markup:
    line = '<line class="mark" x1="{0}%" x2="{0}%" y1="-4" y2="{1}"/><text class="mark" x="{0}%" dx="{3}" y="6" {4}>{2}</text>'
    beside = (-5, Markup('text-anchor="end"')) if x > 50 else (5, "")
    return Markup(line).format(number(x), HEIGHT, mark.label, *beside)


def _tick(x: float, label: str) -> Markup:
    return Markup('<text class="x" x="{}%" y="{}">{}</text>').format(number(x), HEIGHT + 17, label)


def _captions(x_label: str, y_label: str) -> Markup:
    both = Markup('<text class="caption" x="-40" y="-14">{}</text><text class="caption x" x="50%" y="{}">{}</text>')
    return both.format(y_label, HEIGHT + 35, x_label)


def share_bar(parts: Sequence[tuple[str, int, str]]) -> Markup:
    """A bar of full width cut by shares: (class, count, title) each."""
    total = sum(count for _, count, _ in parts) or 1
    boxes, left = [], 0.0
    for kind, count, title in parts:
        wide = 100 * count / total
        if count:
            box = Markup('<rect class="{}" x="{}%" width="{}%" height="10"><title>{}</title></rect>')
            boxes.append(box.format(kind, number(left), number(wide), title))
        left += wide
    label = ", ".join(title for _, count, title in parts if count)
    return svg("share", 10, label, Markup("").join(boxes))


def bar(share: float) -> Markup:
    """One horizontal bar, `share` of the full width; its words stand beside it in the page."""
    box = Markup(
        '<svg class="bar" width="100%" height="10" aria-hidden="true"><rect class="s0" width="{}%" height="10"/></svg>'
    )
    return box.format(number(100 * max(0.0, min(1.0, share))))


def against(share: float, asked: float) -> Markup:
    """A bar of a share (0..1) and a line at the one that was asked for."""
    filled, aimed = (number(100 * max(0.0, min(1.0, value))) for value in (share, asked))
    shape = Markup('<rect class="s0" width="{0}%" y="3" height="8"/><line class="aim" x1="{1}%" x2="{1}%" y1="0" y2="14"/>')
    return svg("against", 14, f"{100 * share:.1f} % of {100 * asked:.1f} % asked for", shape.format(filled, aimed))


def whisker(row: Whisker) -> Markup:
    """A dot with its interval on an axis from 0 to 1, and a tick where chance is."""
    shape = Markup(
        '<line class="grid" x2="100%" y1="12" y2="12"/><line class="chance" x1="{0}%" x2="{0}%" y1="2" y2="22"/>'
        '<g class="interval {4}"><line x1="{1}%" x2="{2}%" y1="12" y2="12"/>'
        '<line x1="{1}%" x2="{1}%" y1="8" y2="16"/><line x1="{2}%" x2="{2}%" y1="8" y2="16"/></g>'
        '<circle class="dot {4}" cx="{3}%" cy="12" r="4"/>'
    )
    places = [number(100 * max(0.0, min(1.0, v))) for v in (row.chance, row.low, row.high, row.share)]
    return svg("whisker", 24, row.title, shape.format(*places, _kind(row)))


LINE = 6
"""Pixels between the intervals of a forest."""


@dataclass(frozen=True)
class Axis:
    """A horizontal axis in data units, with its labelled places and dashed marks."""

    low: float
    high: float
    ticks: Sequence[Tick]
    marks: Sequence[float] = ()

    def x(self, value: float) -> str:
        """A place in percent of the width."""
        return number(100 * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low))


def forest(rows: Sequence[Whisker], axis: Axis) -> Markup:
    """Intervals of accuracy minus chance under one another, on an axis that several forests share."""
    tall = max(40, LINE * len(rows) + 10)
    first = (tall - LINE * (len(rows) - 1)) / 2
    line = Markup('<line class="{}" x1="{}%" x2="{}%" y2="{}"/>')
    back = [line.format("grid", axis.x(t.at), axis.x(t.at), tall) for t in axis.ticks]
    back += [line.format("mark", axis.x(m), axis.x(m), tall) for m in axis.marks]
    back.append(line.format("chance", axis.x(0), axis.x(0), tall))
    drawn = [_interval(row, axis, number(first + LINE * place)) for place, row in enumerate(rows)]
    return svg("forest", tall, f"{len(rows)} intervals of accuracy minus chance", Markup("").join(back + drawn))


def _interval(row: Whisker, axis: Axis, y: str) -> Markup:
    """An interval, cut at the axis's ends, and its dot where that lies between them."""
    line = Markup('<line class="interval {0}" x1="{1}%" x2="{2}%" y1="{3}" y2="{3}"/>')
    drawn = line.format(_kind(row), axis.x(row.low - row.chance), axis.x(row.high - row.chance), y)
    share = row.share - row.chance
    if axis.low <= share <= axis.high:
        drawn += Markup('<circle class="dot {}" cx="{}%" cy="{}" r="2.75"/>').format(_kind(row), axis.x(share), y)
    return Markup("<g><title>{}</title>{}</g>").format(row.title, drawn)


def forest_axis(axis: Axis, label: str) -> Markup:
    """The labels under forests that share an axis."""
    tick = Markup('<text class="x" x="{}%" y="14">{}</text>')
    ticks = Markup("").join(tick.format(axis.x(t.at), t.label) for t in axis.ticks)
    return svg("plot", 38, label, ticks + Markup('<text class="x" x="50%" y="33">{}</text>').format(label))


def _kind(row: Whisker) -> str:
    return "bad" if row.failed else "" if row.judged else "hollow"
