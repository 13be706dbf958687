"""`curate sweep report`: a sweep on one page that needs nothing else, and its runs as tables for Olmix.

Reads design.json, the trials' results and states, and fit.json; whatever is not there yet is said on the page.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.report.sheets import PAGE
from curate.report.sheets import page as render
from curate.storage import Folder
from pipelines.sweep.fitting import OBJECTIVE
from pipelines.sweep.report import effects, targets, trials, verdict
from pipelines.sweep.report.csvs import write_csvs
from pipelines.sweep.report.gathering import Sweep
from pipelines.sweep.report.wording import breakable

HERE = Path(__file__).parent


@dataclass(frozen=True)
class SweepReport:
    """What was written, and what it is about."""

    files: tuple[str, ...]  # in the sweep's folder, the page first
    trials: int
    results: int
    fitted: bool
    title: str


def write_sweep_report(out: Path) -> SweepReport:
    """Writes report.html, ratios.csv and metrics.csv to a sweep's folder. InputError without a design; equal folders give
    equal bytes."""
    sweep = Sweep.read(out)
    Folder.of(out).write(PAGE, sweep_page(sweep))
    files = (PAGE, *write_csvs(sweep, out))
    return SweepReport(files, len(sweep.design.trials), len(sweep.seen), sweep.fit is not None, verdict.headline(sweep)[0])


def sweep_page(sweep: Sweep) -> bytes:
    """The page: one file, no network, no script, light and dark as the system."""
    title, lead = verdict.headline(sweep)
    lines, more_lines = trials.lines(sweep)
    context = {
        "title": title,
        "lead": lead,
        "significant": bool(sweep.fit and sweep.fit["proposal"]["significant"]),
        "objective": verdict.objective_said(sweep),
        "tiles": verdict.tiles(sweep),
        "warnings": verdict.warnings(sweep),
        "failures": verdict.failures(sweep),
        "runs": len(sweep.design.trials),
        "fitted": sweep.fit is not None,
        "results": len(sweep.seen),
        "targets": [breakable(name) for name in trials.target_names(sweep)],
        "columns": trials.columns(sweep),
        "lines": lines,
        "more_lines": more_lines,
        "cost": trials.cost(sweep),
        "notes": sweep.design.cost.get("notes", []),
        "front": targets.front(sweep) if len(sweep.seen) else "",
        "spec": json.dumps(sweep.design.spec, indent=2, ensure_ascii=False),
    }
    return render("page.html", context | (_fitted(sweep) if sweep.fit else {}), folder=HERE)


def _fitted(sweep: Sweep) -> dict[str, Any]:
    """What only a fit tells."""
    assert sweep.fit is not None
    pairs, more_pairs = effects.pairs(sweep)
    curves, more_curves = effects.curves(sweep)
    against, more_against = targets.against(sweep)
    told = sweep.fit["objective"]
    return {
        "level": f"{100 * sweep.fit['settings']['level']:.0f}",
        "proposed": verdict.proposed(sweep),
        "chosen": verdict.proposed_choices(sweep),
        "gains": verdict.gains(sweep.fit),
        "confirmed": verdict.confirmed(sweep),
        "moved": f"{100 * sweep.fit['proposal'].get('moved_from_prior', 0.0):.0f}",
        "triangles": effects.triangles(sweep),
        "two": effects.lines(sweep),
        "pairs": pairs,
        "more_pairs": more_pairs,
        "curves": curves,
        "more_curves": more_curves,
        "effects": effects.effects(sweep),
        "by_target": effects.by_target(sweep),
        "against": against,
        "more_against": more_against,
        "told": targets.table(sweep),
        "baselines": targets.baselines(sweep),
        "models": [(one["name"], f"{100 * one['weight']:.0f}", one) for one in told["models"]],
        "following": trials.following(sweep),
        "one_target": len(sweep.responses) == len([OBJECTIVE]) + 1,
        "fit_settings": json.dumps(sweep.fit["settings"], indent=2, ensure_ascii=False),
    }
