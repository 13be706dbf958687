"""The linter's findings for the page, read from RUN/episodes/lint.json without trusting its shape.

The file may come from another version or another tool: what is not there or not a figure is left out.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from curate.engine import MANIFEST, StageManifest
from curate.errors import InputError
from curate.report.charts import Axis, Tick, Whisker, forest, forest_axis, whisker
from curate.report.wording import short, words
from curate.storage import Folder

LINT = "lint.json"
RULES = ("constant", "label-prior", "copy-first", "copy-last", "majority", "copy-nearest")
"""The linter's rules in the order shown; others that the file has come after them."""

SAID = {"constant": "always the same answer", "label-prior": "the option that is right most often"}
MOST_RULES = 10
MOST_ROWS = 100
MOST_FAULTS = 20
FURTHEST_BELOW = -0.2


@dataclass(frozen=True)
class Score:
    """What answering by one rule would score."""

    rule: str
    whisker: Whisker
    picture: Markup


@dataclass(frozen=True)
class Row:
    """One kind of episodes and one thing to copy, with a score for each rule, None where a rule does not apply."""

    format: str
    shots: str
    options: str
    copies: str
    episodes: str
    chance: float
    scores: Sequence[Score | None]


@dataclass(frozen=True)
class Band:
    """All kinds of episodes under one rule and one thing to copy."""

    rule: str
    says: str
    kinds: int
    judged: bool
    failed: int
    furthest: str  # the largest accuracy minus chance, in percentage points
    picture: Markup


@dataclass(frozen=True)
class Balance:
    """How often each option was right, and each place held a demonstration of the query's class."""

    cell: str
    right_options: str
    positive_places: str
    independence: str


@dataclass(frozen=True)
class Verdict:
    """The linter's tables."""

    passed: bool | None  # None when the file does not say
    stale: bool  # it was made for other episodes than the run's
    rules: Sequence[str]
    bands: Sequence[Band]
    axis: Markup
    rows: Sequence[Row]
    more: int  # rows not shown
    balances: Sequence[Balance]
    counts: Sequence[tuple[str, str]]  # leaks and duplicates
    faults: Sequence[str]
    more_faults: int


def verdict(episodes: Folder) -> Verdict | None:
    """The linter's findings; None when it has not run or its file is not a JSON object."""
    data = _read(episodes)
    if data is None:
        return None
    cells = [cell for cell in _list(data.get("cells")) if isinstance(cell, Mapping)]
    rules = _rules(cells)
    rows = [row for cell in cells for row in _rows(cell, rules)]
    faults = [short(str(fault), 500) for fault in _list(data.get("failures"))]
    passed = data.get("passed")
    settings = data.get("settings")
    axis = _axis(rows, figure(settings.get("margin")) if isinstance(settings, Mapping) else None)
    return Verdict(
        passed=passed if isinstance(passed, bool) else None,
        stale=_is_stale(episodes, data.get("built")),
        rules=rules,
        bands=_bands(rows, rules, axis),
        axis=forest_axis(axis, "accuracy minus chance, percentage points"),
        rows=rows[:MOST_ROWS],
        more=max(0, len(rows) - MOST_ROWS),
        balances=[balance for cell in cells[:MOST_ROWS] if (balance := _balance(cell))],
        counts=_counts(data),
        faults=faults[:MOST_FAULTS],
        more_faults=max(0, len(faults) - MOST_FAULTS),
    )


def _read(episodes: Folder) -> Mapping[str, Any] | None:
    if not episodes.exists(LINT):
        return None
    try:
        data = json.loads(episodes.read(LINT))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _is_stale(episodes: Folder, built: Any) -> bool:
    if not built or not episodes.exists(MANIFEST):
        return False
    try:
        return bool(StageManifest.load(episodes).digest != built)
    except InputError:
        return True


def _rules(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    there = {str(score.get("rule", "")) for cell in cells for score in _scores(cell)}
    return [rule for rule in (*RULES, *sorted(there - set(RULES))) if rule in there][:MOST_RULES]


def _scores(cell: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [score for score in _list(cell.get("scores")) if isinstance(score, Mapping)]


def _rows(cell: Mapping[str, Any], rules: Sequence[str]) -> list[Row]:
    chance = figure(cell.get("chance"))
    scores = _scores(cell)
    if chance is None:
        return []
    kinds = sorted({str(score.get("copies", "")) for score in scores})
    return [_row(cell, chance, kind, rules) for kind in kinds]


def _row(cell: Mapping[str, Any], chance: float, copies: str, rules: Sequence[str]) -> Row:
    scores = [score for score in _scores(cell) if str(score.get("copies", "")) == copies]
    shots, ways, episodes = (whole(cell.get(name)) for name in ("shots", "ways", "episodes"))
    form = words(str(cell.get("format", "")))
    kind = f"{form}, {shots} shots" + ("" if ways == "0" else f", {ways} options")
    by_rule = {str(score.get("rule")): _score(score, chance, kind) for score in scores}
    return Row(form, shots, "–" if ways == "0" else ways, copies, episodes, chance, [by_rule.get(rule) for rule in rules])


def _axis(rows: Sequence[Row], margin: float | None) -> Axis:
    """As far as the intervals reach, in whole tenths; below chance only a little, since nothing is judged there."""
    scores = [score.whisker for row in rows for score in row.scores if score]
    low = max(FURTHEST_BELOW, min([-0.1, *(math.floor(10 * (s.low - s.chance)) / 10 for s in scores)]))
    high = max([0.1, *(math.ceil(10 * (s.high - s.chance)) / 10 for s in scores)])
    step = 0.05 if high - low <= 0.4 else 0.1 if high - low <= 0.7 else 0.2
    places = [place * step for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    ticks = [Tick(place, _signed(100 * place, 0) if abs(place) > 1e-9 else "chance") for place in places]
    return Axis(low, high, ticks, [] if margin is None else [margin])


def _bands(rows: Sequence[Row], rules: Sequence[str], axis: Axis) -> list[Band]:
    found: dict[tuple[int, str], list[Whisker]] = {}
    for row in rows:
        for place, score in enumerate(row.scores):
            if score:
                found.setdefault((place, row.copies), []).append(score.whisker)
    return [_band(rules[place], copies, found[place, copies], axis) for place, copies in sorted(found)]


def _band(rule: str, copies: str, whiskers: Sequence[Whisker], axis: Axis) -> Band:
    furthest = max(w.share - w.chance for w in whiskers)
    judged, failed = any(w.judged for w in whiskers), sum(w.failed for w in whiskers)
    says = SAID.get(rule, f"of the {copies}")
    return Band(rule, says, len(whiskers), judged, failed, _signed(100 * furthest, 1), forest(whiskers, axis))


def _signed(points: float, digits: int) -> str:
    return f"{points:+.{digits}f}".replace("-", "−")


def _score(score: Mapping[str, Any], chance: float, kind: str) -> Score | None:
    share, low, high = (figure(score.get(name)) for name in ("accuracy", "low", "high"))
    if share is None or low is None or high is None:
        return None
    judged, failed = score.get("judged") is True, score.get("passed") is False
    title = f"{kind}: {share:.1%}, interval {low:.1%} to {high:.1%}, chance {chance:.1%}"
    drawn = Whisker(share, low, high, chance, judged, failed, title)
    return Score(str(score.get("rule", "")), drawn, whisker(drawn))


def _balance(cell: Mapping[str, Any]) -> Balance | None:
    right, places = _list(cell.get("right_options")), _list(cell.get("positive_positions"))
    if not right:
        return None
    name = f"{words(str(cell.get('format', '')))}, {whole(cell.get('shots'))} shots, {whole(cell.get('ways'))} options"
    p_value = figure(cell.get("independence"))
    said = "" if p_value is None else f"{p_value:.2f}"
    return Balance(name, " / ".join(map(whole, right)), " / ".join(map(whole, places)), said)


def _counts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [(kind, data.get(name)) for kind, name in (("leak", "leaks"), ("asked for", "asked"), ("duplicate", "duplicates"))]
    return [
        (f"{kind}: {words(str(k))}", whole(n)) for kind, part in found if isinstance(part, Mapping) for k, n in part.items()
    ]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def figure(value: Any) -> float | None:
    """A share near [0, 1], None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 2:
        return None
    return float(value)


def whole(value: Any) -> str:
    """A count for people, "?" for anything else."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else "?"
