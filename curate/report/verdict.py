"""The linter's findings for the page, read from RUN/episodes/lint.json without trusting its shape.

The file may come from another version or another tool: what is not there or not a figure is left out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from curate.engine import MANIFEST, StageManifest
from curate.errors import InputError
from curate.report.charts import Whisker, whisker
from curate.report.wording import short, words
from curate.storage import Folder

LINT = "lint.json"
RULES = ("constant", "copy-first", "copy-last", "majority", "copy-nearest")
MOST_ROWS = 60
MOST_FAULTS = 20


@dataclass(frozen=True)
class Score:
    """What answering by one rule would score."""

    rule: str
    share: float
    judged: bool  # False when the rule is shown for information
    failed: bool
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
    rows = [row for cell in cells for row in _rows(cell)]
    faults = [short(str(fault), 500) for fault in _list(data.get("failures"))]
    passed = data.get("passed")
    return Verdict(
        passed=passed if isinstance(passed, bool) else None,
        stale=_is_stale(episodes, data.get("built")),
        rules=RULES,
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


def _rows(cell: Mapping[str, Any]) -> list[Row]:
    chance = figure(cell.get("chance"))
    scores = [score for score in _list(cell.get("scores")) if isinstance(score, Mapping)]
    if chance is None:
        return []
    kinds = sorted({str(score.get("copies", "")) for score in scores})
    return [_row(cell, chance, kind, [s for s in scores if str(s.get("copies", "")) == kind]) for kind in kinds]


def _row(cell: Mapping[str, Any], chance: float, copies: str, scores: Sequence[Mapping[str, Any]]) -> Row:
    by_rule = {str(score.get("rule")): _score(score, chance) for score in scores}
    shots, ways, episodes = (whole(cell.get(name)) for name in ("shots", "ways", "episodes"))
    form = words(str(cell.get("format", "")))
    return Row(form, shots, "–" if ways == "0" else ways, copies, episodes, chance, [by_rule.get(rule) for rule in RULES])


def _score(score: Mapping[str, Any], chance: float) -> Score | None:
    share, low, high = (figure(score.get(name)) for name in ("accuracy", "low", "high"))
    if share is None or low is None or high is None:
        return None
    judged, failed = score.get("judged") is True, score.get("passed") is False
    title = f"{share:.1%}, interval {low:.1%} to {high:.1%}, chance {chance:.1%}"
    picture = whisker(Whisker(share, low, high, chance, judged, failed, title))
    return Score(str(score.get("rule", "")), share, judged, failed, picture)


def _balance(cell: Mapping[str, Any]) -> Balance | None:
    right, places = _list(cell.get("right_options")), _list(cell.get("positive_positions"))
    if not right:
        return None
    name = f"{words(str(cell.get('format', '')))}, {whole(cell.get('shots'))} shots, {whole(cell.get('ways'))} options"
    p_value = figure(cell.get("independence"))
    said = "" if p_value is None else f"{p_value:.2f}"
    return Balance(name, " / ".join(map(whole, right)), " / ".join(map(whole, places)), said)


def _counts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [(kind, data.get(name)) for kind, name in (("leak", "leaks"), ("duplicate", "duplicates"))]
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
