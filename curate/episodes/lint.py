"""Holds a set of episodes against the shortcuts that would let a model score without in-context learning.

docs/explanation/shortcuts.md says what is judged and what is only reported, and why. Everything is computed
from the episodes alone, so that sets made by other tools can be held against the same bounds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from curate.engine import StageManifest
from curate.episodes.baselines import RULES, answer_of, label_of, label_prior, positives, right_option, wilson
from curate.episodes.leaks import Leaks
from curate.episodes.settings import LintSettings
from curate.errors import QualityError
from curate.layout import Run
from curate.schema import Episode
from curate.storage import canonical_json

REPORT = "lint.json"

Key = tuple[str, int, int]
"""Format, shots, options (0 where there are none)."""


@dataclass(frozen=True)
class Score:
    """One rule on one cell."""

    rule: str  # constant, label-prior, copy-first, copy-last, copy-nearest, majority
    copies: str  # what is copied: answer or label
    accuracy: float
    low: float
    high: float
    judged: bool
    passed: bool


@dataclass(frozen=True)
class CellReport:
    """All rules and balances on the episodes of one format, number of shots and number of options."""

    format: str
    shots: int
    ways: int
    episodes: int
    chance: float
    scores: list[Score]
    right_options: list[int]  # how often the query's right option stood at each place
    positive_positions: list[int]  # how often each position held a demonstration of the query's class
    independence: float | None  # p-value of (right option, first positive position, its right option) being independent
    distinct_answers: int


@dataclass(frozen=True)
class LintReport:
    """What the linter found."""

    episodes: int
    settings: dict[str, Any]
    cells: list[CellReport]
    leaks: dict[str, int]
    duplicates: dict[str, int]
    failures: list[str]
    asked: dict[str, int] = field(default_factory=dict)
    """What would be a leak if the plan's selector did not ask for it."""
    built: str = ""  # digest of the episodes' manifest

    @property
    def passed(self) -> bool:
        """Whether nothing that is judged failed."""
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {"passed": self.passed, **asdict(self)}


def lint(episodes: Iterable[Episode], settings: LintSettings | None = None) -> LintReport:
    """Reads episodes once and reports; nothing is raised."""
    settings = settings or LintSettings()
    tallies: dict[Key, _Tally] = defaultdict(_Tally)
    leaks, count = Leaks(settings.perceptual_bits), 0
    for episode in episodes:
        key = (episode.format, len(episode.demonstrations), len(episode.query.options))
        tallies[key].add(episode)
        leaks.add(episode)
        count += 1
    judged = sum(tallies[key].judged(key) for key in tallies)
    cells = [tallies[key].report(key, settings, judged) for key in sorted(tallies)]
    failures = [*_shortcuts(cells, settings), *leaks.failures(settings)]
    found, repeated = dict(sorted(leaks.leaks.items())), dict(sorted(leaks.duplicates.items()))
    return LintReport(count, settings.model_dump(mode="json"), cells, found, repeated, failures, dict(leaks.asked))


def lint_run(run: Run, margin: float | None = None) -> LintReport:
    """Lints RUN/episodes with the guard's own notion of a near-duplicate and writes RUN/episodes/lint.json."""
    manifest = StageManifest.load(run.episodes)
    told: dict[str, Any] = {} if margin is None else {"margin": margin}
    guard = manifest.settings.get("guard", {})
    if "perceptual_bits" in guard:
        told["perceptual_bits"] = guard["perceptual_bits"]
    found = lint(run.built_episodes(), LintSettings(**told))
    report = LintReport(**{**vars(found), "built": manifest.digest})
    run.episodes.write(REPORT, canonical_json(report.as_json()) + b"\n")
    return report


def check_lint(report: LintReport) -> None:
    """QualityError that names the first failure."""
    if not report.passed:
        more = f" (and {len(report.failures) - 1} more)" if len(report.failures) > 1 else ""
        raise QualityError(f"lint: {report.failures[0]}{more}; see {REPORT} beside the episodes")


def _shortcuts(cells: list[CellReport], settings: LintSettings) -> list[str]:
    return [
        f"{cell.format}, {cell.shots} shots, {cell.ways or 'no'} options: {score.rule} ({score.copies}) is right in"
        f" {score.accuracy:.1%} [{score.low:.1%}, {score.high:.1%}] where chance is {cell.chance:.1%} + {settings.margin:.1%}"
        for cell in cells
        for score in cell.scores
        if not score.passed
    ]


@dataclass
class _Tally:
    """Running sums over the episodes of one cell."""

    episodes: int = 0
    credit: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    applied: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    options: Counter[int] = field(default_factory=Counter)
    positions: Counter[int] = field(default_factory=Counter)
    design: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    asked: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)

    def add(self, episode: Episode) -> None:
        """Takes in one episode."""
        self.episodes += 1
        self.answers[answer_of(episode.query)] += 1
        self._score(episode)
        if episode.query.options:
            right, stands = right_option(episode.query), positives(episode)
            self.options[right] += 1
            self.asked.append((episode.id, episode.query.label, episode.query.options))
            self.positions.update(stands)
            if stands:
                self.design[right, stands[0], right_option(episode.demonstrations[stands[0]])] += 1

    def _score(self, episode: Episode) -> None:
        copied = {"answer": answer_of, "label": label_of} if _has_letters(episode.format) else {"answer": answer_of}
        for copies, says in copied.items():
            for name, rule in RULES.items():
                credit = rule(episode.demonstrations, episode.query, says)
                if credit is not None:
                    self.credit[name, copies] += credit
                    self.applied[name, copies] += 1

    def judged(self, key: Key) -> int:
        """How many rules can fail."""
        form, _, ways = key
        return 2 * bool(ways) + sum(is_judged(form, *applied) for applied in self.applied)

    def report(self, key: Key, settings: LintSettings, judged_in_all: int) -> CellReport:
        """The sums as a report."""
        form, shots, ways = key
        level = 1 - (1 - settings.confidence) / max(1, judged_in_all)  # Bonferroni
        most = max(self.options.values() if ways else self.answers.values())
        chance = 1 / ways if ways else most / self.episodes
        scores = [self._scored("constant", "answer", most, self.episodes, chance, bool(ways), settings, level)]
        if ways:
            credit = label_prior(self.asked)
            copied = "label" if _has_letters(form) else "answer"
            scores.append(self._scored("label-prior", copied, credit, self.episodes, chance, True, settings, level))
        for (name, copies), applied in sorted(self.applied.items()):
            credit, judged = self.credit[name, copies], is_judged(form, name, copies)
            scores.append(self._scored(name, copies, credit, applied, chance, judged, settings, level))
        return CellReport(
            form,
            shots,
            ways,
            self.episodes,
            _round(chance),
            scores,
            [self.options[at] for at in range(ways)],
            [self.positions[at] for at in range(shots)] if ways else [],
            independence(self.design) if ways else None,
            len(self.answers),
        )

    @staticmethod
    def _scored(
        rule: str,
        copies: str,
        credit: float,
        total: int,
        chance: float,
        judged: bool,
        settings: LintSettings,
        level: float,
    ) -> Score:
        """The interval shown has the confidence asked for; judged is the wider one at `level`, since of a hundred
        rules on sound episodes some are above any single interval by luck."""
        share = wilson(credit, total, settings.confidence)
        passed = not judged or wilson(credit, total, level).low <= chance + settings.margin
        return Score(rule, copies, _round(share.value), _round(share.low), _round(share.high), judged, passed)


def is_judged(form: str, rule: str, copies: str) -> bool:
    """Whether a rule that beats chance is a fault. Copying the most similar demonstration looks at pictures, so its
    label may be right; the letter it shows may not."""
    return rule != "copy-nearest" or (_has_letters(form) and copies == "answer")


def _has_letters(form: str) -> bool:
    return form == "multiple_choice"


def independence(design: Counter[tuple[int, int, int]]) -> float | None:
    """p-value of the chi-square test of mutual independence over a three-way table; None where a margin is constant."""
    import numpy as np
    from scipy.stats import chi2

    if not design:
        return None
    table = np.zeros([1 + max(cell[axis] for cell in design) for axis in range(3)])
    for cell, count in design.items():
        table[cell] = count
    total = table.sum()
    margins = [table.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    margins = [margin[margin > 0] / total for margin in margins]
    freedom = int(np.prod([len(m) for m in margins]) - 1 - sum(len(m) - 1 for m in margins))
    if freedom <= 0:
        return None
    kept = np.ix_(*[np.flatnonzero(table.sum(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)])
    expected = total * np.einsum("i,j,k->ijk", *margins)
    return _round(float(chi2.sf(((table[kept] - expected) ** 2 / expected).sum(), freedom)))


def _round(value: float) -> float:
    return round(value, 6)
