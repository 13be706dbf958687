"""A response over three components that sum to one, as inline SVG: shades with level lines, and trials on it.

The drawing has units of its own and scales with the page. Shades are one colour's opacity, so they follow the page's theme.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curate.report.charts import number
from curate.report.training.lines import nice
from pipelines.sweep.effects import TERNARY
from pipelines.sweep.report.wording import figure, label, percent

SIDE = 300.0
TALL = SIDE * 3**0.5 / 2
LEFT, TOP = 60.0, 34.0
WIDE, HIGH = SIDE + 2 * LEFT, TALL + 124
SHADES = 24
FAINT, FULL = 0.06, 0.92
"""Opacity of the lowest and of the highest value."""
LEVELS = 6
MARK = 6.0

Place = tuple[float, float]
Corner = tuple[Place, float]
"""A place in the drawing and the value there."""


@dataclass(frozen=True)
class Dot:
    """A mix: shares of the three, relative to each other."""

    shares: Sequence[float]
    value: float | None  # None where nothing came of it
    title: str
    kind: str = "trial"  # trial, failed, prior, proposal


@dataclass(frozen=True)
class Field:
    """What is drawn: (i, j) of the grid -> value."""

    components: Sequence[str]
    values: Mapping[tuple[int, int], float]
    whole: float  # what the three have together

    @classmethod
    def of(cls, told: Mapping[str, object], which: int) -> "Field":
        """A ternary of fit.json; `which` is 3 for the mean and 4 for its standard deviation."""
        points: list[list[float]] = list(told["points"])  # type: ignore[call-overload]  # JSON
        names: list[str] = list(told["components"])  # type: ignore[call-overload]  # JSON
        whole = max((sum(point[:3]) for point in points), default=1.0) or 1.0
        steps = {(round(p[0] / whole * TERNARY), round(p[1] / whole * TERNARY)): p[which] for p in points}
        return cls(names, steps, whole)

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest."""
        return min(self.values.values(), default=0.0), max(self.values.values(), default=0.0)

    def triangles(self) -> Iterator[tuple[Corner, Corner, Corner]]:
        """The grid's triangles whose corners are all known."""
        for i, j in sorted(self.values):
            for others in (((i + 1, j), (i, j + 1)), ((i + 1, j), (i + 1, j - 1))):
                if all(other in self.values for other in others):
                    a, b, c = ((_place((at[0], at[1], TERNARY - sum(at))), self.values[at]) for at in ((i, j), *others))
                    yield a, b, c


def ternary(field: Field, dots: Sequence[Dot], title: str, shade: str = "heat") -> Markup:
    """The triangle; `shade` is the class of its colour."""
    low, high = field.range
    parts = [_shaded(field, low, high, shade), _grid(field), _lines(field, low, high)]
    parts += [_dot(dot, low, high, shade) for dot in sorted(dots, key=lambda dot: ORDER[dot.kind])]
    parts += [_corner(name, at) for at, name in enumerate(field.components)]
    parts.append(_scale(low, high, shade))
    head = Markup('<svg class="ternary" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return head.format(number(WIDE), number(HIGH), title, Markup("").join(parts))


ORDER = {"failed": 0, "trial": 1, "prior": 2, "proposal": 3}


def _place(shares: Sequence[float]) -> Place:
    """The first component is the left corner, the second the right one, the third the top."""
    total = sum(shares) or 1.0
    right, top = shares[1] / total, shares[2] / total
    return LEFT + SIDE * (right + top / 2), TOP + TALL * (1 - top)


def _shaded(field: Field, low: float, high: float, shade: str) -> Markup:
    """Every triangle in four, by the shade of its middle; those of one shade are one path."""
    paths: dict[int, list[str]] = {}
    for corners in field.triangles():
        for small in _quartered(*corners):
            middle = sum(value for _, value in small) / 3
            at = min(SHADES - 1, int(SHADES * _share(middle, low, high)))
            points = "L".join(f"{number(x)} {number(y)}" for (x, y), _ in small)
            paths.setdefault(at, []).append(f"M{points}z")
    path = Markup('<path class="{}" fill-opacity="{}" d="{}"/>')
    drawn = [path.format(shade, number(_opacity((at + 0.5) / SHADES)), "".join(paths[at])) for at in sorted(paths)]
    return Markup('<g shape-rendering="crispEdges">{}</g>').format(Markup("").join(drawn))


def _quartered(a: Corner, b: Corner, c: Corner) -> list[tuple[Corner, Corner, Corner]]:
    ab, bc, ca = _between(a, b, 0.5), _between(b, c, 0.5), _between(c, a, 0.5)
    return [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]


def _between(a: Corner, b: Corner, share: float) -> Corner:
    (ax, ay), (bx, by) = a[0], b[0]
    return (ax + share * (bx - ax), ay + share * (by - ay)), a[1] + share * (b[1] - a[1])


def _lines(field: Field, low: float, high: float) -> Markup:
    """Lines of equal value at round numbers."""
    if high - low <= 1e-12 * max(1.0, abs(high)):
        return Markup("")
    drawn = []
    for level in nice(low, high, LEVELS):
        steps = [piece for corners in field.triangles() if (piece := _crossing(corners, level))]
        if steps:
            path = "".join(f"M{number(a[0])} {number(a[1])}L{number(b[0])} {number(b[1])}" for a, b in steps)
            drawn.append(Markup('<path class="level" d="{}"><title>{}</title></path>').format(path, figure(level)))
    return Markup("").join(drawn)


def _crossing(corners: Sequence[Corner], level: float) -> tuple[Place, Place] | None:
    """Where a line of equal value cuts a triangle."""
    found = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        one, other = corners[a][1] - level, corners[b][1] - level
        if (one < 0) != (other < 0):
            found.append(_between(corners[a], corners[b], one / (one - other))[0])
    return (found[0], found[1]) if len(found) == 2 else None


def _grid(field: Field) -> Markup:
    """The triangle, its quarters, and what share of each component they are."""
    parts = []
    line = Markup('<path class="grid" d="M{} {}L{} {}"/>')
    text = Markup('<text class="tick {}" x="{}" y="{}">{}</text>')
    for quarter in (0.0, 0.25, 0.5, 0.75):
        rest = 1 - quarter
        for ends in (((quarter, rest, 0), (quarter, 0, rest)), ((rest, quarter, 0), (0, quarter, rest)),
                     ((rest, 0, quarter), (0, rest, quarter))):  # fmt: skip
            parts.append(line.format(*(number(v) for end in ends for v in _place(end))))
        if quarter:
            said = percent(quarter * field.whole)
            for kind, end, dx, dy in (
                ("end", (quarter, 0, rest), -6, 0),  # the left corner's share, along the left side
                ("middle", (rest, quarter, 0), 0, 15),  # the right corner's, along the bottom
                ("start", (0, rest, quarter), 6, 4),  # the top's, along the right side
            ):
                x, y = _place(end)
                parts.append(text.format(kind, number(x + dx), number(y + dy), said))
    return Markup("").join(parts)


def _corner(name: str, at: int) -> Markup:
    x, y = _place([float(other == at) for other in range(3)])
    dx, dy, kind = ((-LEFT + 4, 34, "start"), (LEFT - 4, 34, "end"), (0, -12, "middle"))[at]
    text = Markup('<text class="corner {}" x="{}" y="{}"><title>{}</title>{}</text>')
    return text.format(kind, number(x + dx), number(y + dy), name, label(name))


def _dot(dot: Dot, low: float, high: float, shade: str) -> Markup:
    x, y = (number(value) for value in _place(dot.shares))
    if dot.kind == "proposal":
        shape = Markup('<path class="proposal" d="{}"/>').format(diamond(float(x), float(y), MARK + 2))
    elif dot.kind == "failed":
        cross = f"M{float(x) - 4} {float(y) - 4}l8 8m0 -8l-8 8"
        shape = Markup('<path class="cross" d="{}"/>').format(cross)
    else:
        fill = _opacity(_share(dot.value, low, high)) if dot.value is not None else 0.0
        size = number(MARK if dot.kind == "prior" else 5)
        circles = '<circle class="base" cx="{0}" cy="{1}" r="{2}"/>'
        circles += '<circle class="{3} {4}" cx="{0}" cy="{1}" r="{2}" fill-opacity="{5}"/>'
        shape = Markup(circles).format(x, y, size, shade, dot.kind, number(fill))
    return Markup('<g class="mark"><title>{}</title>{}</g>').format(dot.title, shape)


def diamond(x: float, y: float, size: float) -> str:
    """The path of a diamond about a place."""
    step, back = number(size), number(-size)
    return f"M{number(x)} {number(y - size)}l{step} {step}l{back} {step}l{back} {back}z"


def _scale(low: float, high: float, shade: str) -> Markup:
    """What the shades stand for."""
    top, wide = TOP + TALL + 56, SIDE / SHADES
    box = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="10" fill-opacity="{}"/>')
    boxes = [
        box.format(shade, number(LEFT + wide * at), number(top), number(wide), number(_opacity((at + 0.5) / SHADES)))
        for at in range(SHADES)
    ]
    text = Markup('<text class="tick {}" x="{}" y="{}">{}</text>')
    for kind, share in (("start", 0.0), ("middle", 0.5), ("end", 1.0)):
        boxes.append(text.format(kind, number(LEFT + SIDE * share), number(top + 25), figure(low + share * (high - low))))
    return Markup('<g shape-rendering="crispEdges">{}</g>').format(Markup("").join(boxes))


def _share(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5


def _opacity(share: float) -> float:
    return FAINT + share * (FULL - FAINT)
