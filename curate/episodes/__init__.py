"""Neighbours to Episodes: selectors, guard, order, formats, labels, build and lint."""

from curate.episodes.lint import LintReport, check_lint, lint, lint_run
from curate.episodes.settings import EpisodeSettings, GuardSettings, LintSettings, Plan
from curate.episodes.stage import build_episodes

__all__ = [
    "EpisodeSettings",
    "GuardSettings",
    "LintReport",
    "LintSettings",
    "Plan",
    "build_episodes",
    "check_lint",
    "lint",
    "lint_run",
]
