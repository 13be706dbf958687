"""Training runs on one page: the curves of one run, or of several laid over each other."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.errors import InputError
from curate.report.charts import COLOURS
from curate.report.sheets import page, save
from curate.report.training.curves import METRICS, Curves, best
from curate.report.training.lines import said
from curate.report.training.plots import NAME, loss_plots, pace_plots
from curate.report.wording import short
from curate.storage import Folder


@dataclass(frozen=True)
class Facts:
    """A run in figures, as words; "–" for what it has not."""

    name: str
    steps: str
    loss: str  # of the last row
    validation: str  # the lowest
    at: str  # its step
    tokens: str  # learned from
    rate: str  # median of real tokens a second
    wait: str  # median share
    skipped: str


def is_training(place: "str | os.PathLike[str]") -> bool:
    """Whether a folder is that of a training run: it has a metrics.jsonl."""
    return Folder.of(place).exists(METRICS)


def write_training_page(places: Sequence[str], out: Path | None = None) -> Path:
    """Writes the page of runs to the file `out`, or to report.html of the first."""
    runs = [Curves.read(Folder.of(place), name) for place, name in zip(places, names(places), strict=True)]
    return save(training_page(runs), Folder.of(places[0]), out)


def names(places: Sequence[str]) -> list[str]:
    """What runs are called: the last words of their folders that tell them apart."""
    parts = [[part for part in Folder.of(place).uri.split("/") if part not in ("", ".", "..")] or ["run"] for place in places]
    for length in range(1, max(map(len, parts)) + 1):
        found = ["/".join(words[-length:]) for words in parts]
        if len(set(found)) == len(found):
            return found
    raise InputError("the same run is named twice; name each once")


def training_page(runs: Sequence[Curves]) -> bytes:
    """The page: one file, no network, no script. Equal rows give equal bytes."""
    if len(runs) > COLOURS:
        raise InputError(f"{len(runs)} runs do not fit onto one page; name at most {COLOURS}")
    context = {
        "runs": [facts(run) for run in runs],
        "losses": loss_plots(runs),
        "pace": pace_plots(runs),
        "configs": [(run.name, run.config) for run in runs if run.config],
    }
    return page("training/page.html", context)


def facts(run: Curves) -> Facts:
    """A run in figures."""
    loss, lowest = run.of("loss"), best(run.of("loss", kind="validation"))
    rates, waits, skipped = run.of("tokens_per_s", "real"), run.of("data_wait"), run.of("bad_steps")
    tokens = sum(count for _, count in run.of("tokens"))
    return Facts(
        name=short(run.name, NAME),
        steps=f"{run.steps:,}",
        loss=said(loss[-1][1]) if loss else "–",
        validation=said(lowest[1]) if lowest else "–",
        at=f"{lowest[0]:,.0f}" if lowest else "–",
        tokens=said(tokens) if tokens else "–",
        rate=said(_median([value for _, value in rates])) if rates else "–",
        wait=f"{100 * _median([value for _, value in waits]):.1f} %" if waits else "–",
        skipped=f"{skipped[-1][1]:,.0f}" if skipped else "–",
    )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
