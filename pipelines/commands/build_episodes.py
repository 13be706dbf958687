"""`curate build-episodes`: the main job in one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import Watch, answer, say, table
from pipelines.options import AsJson, DryRun, MaxRejected, Out, Overrides, Workers

if TYPE_CHECKING:
    from curate.engine import StageManifest
    from curate.layout import Run
    from pipelines.chain import ChainSettings

ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG.yaml", help="What to build from what; see the docs for every key.")
]
UntilStep = Annotated[
    str, typer.Option("--until", help="Stop after: sources, align, embed, index, episodes, shards or report.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("build-episodes")(build_episodes)


def build_episodes(
    config: ConfigFile,
    out: Out,
    workers: Workers,
    set_: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    until: UntilStep = "report",
    max_rejected: MaxRejected = 0.1,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Build verified ICL episodes: from pages and pictures to shards and a report, or from the stages that exist.

    Interrupt it anywhere and run it again: it goes on where it stopped. Changed settings redo only what
    depends on them. Exit 3 when the linter finds a shortcut or too many records were unreadable.

    Example:

        curate build-episodes examples/captions.yaml --out runs/captions
    """
    from curate.layout import Run
    from curate.settings import load
    from pipelines.chain import ChainSettings

    build(load(ChainSettings, config, set_), Run.at(out), until, workers, max_rejected, dry_run, as_json)


def build(
    settings: "ChainSettings", run: "Run", until: str, workers: int, max_rejected: float, dry_run: bool, as_json: bool
) -> None:
    """Checks everything, runs the chain, and ends with a table of what came out."""
    from pipelines.chain import Chain, check_all_rejected, check_sources, step_named, unnamed_sources

    sources, last = check_sources(settings, run), step_named(until)
    if settings.sources and (others := unnamed_sources(settings, run)):
        say(f"the run also holds {', '.join(others)}, which take part; remove their folders if they should not")
    if dry_run:
        _show_plan(settings, sources, as_json)
        return
    watch = Watch()
    try:
        made = Chain(settings, run, workers, watch).build(last)
    finally:
        watch.close()
    if as_json:
        answer({"run": run.root.uri, "stages": [{"stage": m.stage, "digest": m.digest, **m.counts} for m in made]})
    else:
        _show_result(made, run, last)
    check_all_rejected(made, max_rejected)


def _show_plan(settings: "ChainSettings", sources: list[tuple[str, str, str]], as_json: bool) -> None:
    if as_json:
        answer(settings.model_dump(mode="json"))
        return
    table("Sources", ("name", "kind", "path"), sources, left=3)
    plans = settings.episodes.episodes
    rows = [(plan.format, plan.selector, plan.order, str(plan.shots), f"{plan.share:g}") for plan in plans]
    table("Episodes", ("format", "selector", "order", "shots", "share"), rows, left=4)
    say(f"encoder {settings.embed.encoder}; the configuration is sound, nothing was built")


def _show_result(made: "list[StageManifest]", run: "Run", last: str) -> None:
    rows = [(m.stage, *(f"{m.counts[key]:,}" for key in ("in", "out", "dropped", "rejected")), _worst(m)) for m in made]
    table("What came out", ("stage", "in", "out", "dropped", "rejected", "most frequent reason"), rows)
    if last == "report":
        say(f"shards are in {run.root.uri}/shards, the report is {run.root.uri}/report.html")
    else:
        say(f"stopped after {last}, as asked; run it again without --until to go on")


def _worst(manifest: "StageManifest") -> str:
    reasons = {**manifest.dropped, **manifest.rejected}
    return max(reasons, key=lambda reason: reasons[reason]) if reasons else ""
