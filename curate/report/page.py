"""A run to one HTML file that needs nothing else: no network, no second file, no inline handler."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate import __version__
from curate.engine import Progress, Quiet, StageManifest
from curate.layout import Run
from curate.report.funnel import funnel, proofs
from curate.report.gallery import Gallery, card_of, hang
from curate.report.pictures import Album
from curate.report.plots import bar_lists, guard_limit, shots_plot, similarity_plot
from curate.report.settings import ReportSettings
from curate.report.sheets import asset, page, save
from curate.report.stages import Stages, read_stages
from curate.report.survey import Survey, chosen, episodes_at, survey
from curate.report.verdict import verdict

FURNITURE = 4096
"""Bytes of filters and remarks that enter the page with its first episode."""


@dataclass(frozen=True)
class Report:
    """A finished page and what it shows."""

    html: bytes
    episodes: int  # in the run
    shown: int  # in the gallery
    pictures: int
    missing_pictures: int

    def save(self, run: Run, out: "str | os.PathLike[str] | None" = None) -> Path:
        """Writes RUN/report.html, or the file `out`, whole or not at all."""
        return save(self.html, run.root, out)


def write_report(run: Run, settings: ReportSettings | None = None, progress: Progress | None = None) -> Path:
    """Writes RUN/report.html from whatever stages are finished, and returns its path.

    Equal runs and settings give equal bytes. InputError when the run has no finished stage at all.
    """
    return make_report(run, settings, progress).save(run)


def make_report(run: Run, settings: ReportSettings | None = None, progress: Progress | None = None) -> Report:
    """The page of a run, not yet written."""
    settings, progress = settings or ReportSettings(), progress or Quiet()
    stages = read_stages(run)
    found = survey(run, settings, progress) if stages.of("episodes") else None
    context = _context(run, stages, found)
    empty = _render(context, Gallery())
    budget = int(settings.max_megabytes * 1e6) - len(empty) - FURNITURE
    gallery = _gallery(run, found, settings, budget) if found else Gallery()
    report = Report(
        _render(context, gallery), found.episodes if found else 0, len(gallery.cards), len(gallery.thumbnails), gallery.missing
    )
    if found:
        progress.finish(_manifest(stages, settings, report))
    return report


def _gallery(run: Run, found: Survey, settings: ReportSettings, budget: int) -> Gallery:
    return hang(episodes_at(run, chosen(found, settings)), card_of, Album(run.images, settings), budget)


def _context(run: Run, stages: Stages, found: Survey | None) -> dict[str, Any]:
    episodes = stages.of("episodes")
    limit = guard_limit(episodes[0].manifest.settings) if episodes else None
    plots = [similarity_plot(found, limit), shots_plot(found)] if found and found.episodes else []
    return {
        "identity": stages.identity,
        "sources": stages.sources,
        "unreadable": stages.unreadable,
        "floors": funnel(stages),
        "found": found,
        "plots": [plot for plot in plots if plot],
        "bars": bar_lists(found) if found and found.episodes else [],
        "verdict": verdict(run.episodes),
        "proofs": proofs(stages),
    }


def _render(context: dict[str, Any], gallery: Gallery) -> bytes:
    from jinja2.utils import htmlsafe_json_dumps

    data = htmlsafe_json_dumps(
        {"episodes": gallery.cards, "pictures": gallery.thumbnails}, sort_keys=True, separators=(",", ":")
    )
    return page("template.html", {**context, "gallery": gallery, "data": data}, asset("kit.js") + asset("report.js"))


def _manifest(stages: Stages, settings: ReportSettings, report: Report) -> StageManifest:
    """What the progress display is told at the end; it is not stored."""
    inputs = {stage.name: stage.manifest.digest for stage in stages.finished}
    counts = {"in": report.episodes, "out": report.shown, "dropped": 0, "rejected": 0}
    return StageManifest("report", __version__, settings.model_dump(mode="json"), inputs, {}, counts)
