"""`curate shards write|verify`: episodes into WebDataset shards, and the proof that they are whole."""

from typing import Annotated

import typer

from pipelines.console import Watch, answer, report_stage, say, table
from pipelines.options import AsJson, DryRun, MaxRejected, RunDir, Workers

MaxMb = Annotated[float, typer.Option("--max-mb", help="No shard is larger than this many million bytes.")]
MaxEpisodes = Annotated[int, typer.Option("--max-episodes", help="No shard holds more episodes than this; 0 for no limit.")]
Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="A run, a folder of shards, or a published version; a path or an fsspec URL.")
]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(no_args_is_help=True, help="WebDataset shards: write them, verify them.")
    group.command("write")(write)
    group.command("verify")(verify)
    app.add_typer(group, name="shards")


def write(
    run: RunDir,
    workers: Workers,
    max_mb: MaxMb = 256,
    max_episodes: MaxEpisodes = 0,
    max_rejected: MaxRejected = 1.0,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write RUN/episodes with their original image bytes as shards into RUN/shards.

    Equal episodes give equal bytes, whatever the workers; a killed run goes on where it stopped.

    Example:

        curate shards write runs/demo --max-mb 512
    """
    from curate.engine import check_rejected
    from curate.layout import Run
    from curate.settings import build
    from curate.shards.planning import ShardSettings, plan
    from curate.shards.writing import write_shards

    settings = build(ShardSettings, {"max_mb": max_mb, "max_episodes": max_episodes}, "shards")
    place = Run.at(run)
    if dry_run:
        plans = plan(place.episodes, place.images, settings)
        planned = {"shards": len(plans), "episodes": sum(p.episodes for p in plans), "bytes": sum(p.bound for p in plans)}
        _planned(planned, as_json)
        return
    watch = Watch()
    try:
        manifest = write_shards(place, settings, workers, watch)
    finally:
        watch.close()
    shards = len(manifest.tables(".tar"))
    report_stage(manifest, as_json, shards=shards, bytes=sum(manifest.sizes.values()))
    check_rejected(manifest, max_rejected)


def _planned(planned: dict[str, int], as_json: bool) -> None:
    if as_json:
        answer(planned)
    else:
        say(f"would write {planned['episodes']:,} episodes into {planned['shards']:,} shards of at most"
            f" {planned['bytes'] / 1e6:,.1f} MB in all")  # fmt: skip


def verify(place: Place, as_json: AsJson = False) -> None:
    """Check every byte of shards against their manifest and say where they differ.

    Finds flipped bytes, missing, extra and truncated shards, and missing members. Exits 2 when something is wrong.

    Example:

        curate shards verify runs/demo
    """
    from dataclasses import asdict

    from curate.errors import IntegrityError
    from curate.shards.checking import verify as check

    checked: list[str] = []
    faults = check(place, say=checked.append)
    if as_json:
        answer({"place": place, "shards": len(checked), "faults": [asdict(fault) for fault in faults]})
    for fault in faults if not as_json else []:
        say(str(fault))
    if faults:
        many = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise IntegrityError(f"{many} in {place}; write the shards again (curate shards write), or pull the version again")
    if not as_json:
        table("verified", ("", "count"), [("shards, all sound", f"{len(checked):,}")])
