"""`curate bench import`: other projects' few-shot files as frozen benchmarks."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.bench import bench
from pipelines.console import answer, say, table
from pipelines.options import AsJson, Config, DryRun, MaxRejected, Overrides

Kind = Annotated[str, typer.Argument(metavar="KIND", help="vl-icl, flamingo or llava.", show_default=False)]
Source = Annotated[Path, typer.Argument(metavar="PATH", help="The set's folder or file.", show_default=False)]
BenchOut = Annotated[
    str, typer.Option("--out", "-o", metavar="BENCH", help="The benchmark's folder; made when missing.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the command to the group `bench`."""
    bench.command("import")(import_)


def import_(
    kind: Kind,
    path: Source,
    out: BenchOut,
    config: Config = None,
    set_: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    max_rejected: MaxRejected = 0.5,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Import another project's few-shot set as a frozen benchmark.

    vl-icl: a task folder of VL-ICL Bench with query.json and support.json. flamingo: VQAv2-style questions and
    annotations, or COCO-style captions, as OpenFlamingo asks them few-shot. llava: conversations in LLaVA's JSON, whose
    last turn is the query. Bad records are rejected with a reason, counted, and listed in rejected.jsonl.

    Example:

        curate bench import vl-icl VL-ICL/open_mi --out benches/open-mi --set orders=both
        curate bench import flamingo okvqa --out benches/okvqa --set shots=[0,4,8] --set queries=2048
    """
    from curate.benchmarks.importing.bring import bring, import_bench, prepare
    from curate.settings import read_yaml, with_overrides
    from curate.storage import Folder

    settings = prepare(kind, with_overrides(read_yaml(config) if config else {}, set_), out)
    if dry_run:
        brought, state = bring(kind, path, settings, max_rejected), "would be written"
    else:
        made, brought, unchanged = import_bench(kind, path, Folder.of(out), settings, max_rejected)
        state = f"{'as it was' if unchanged else 'written'}, digest {made.digest[:12]}"
    manifest, rejected = brought.manifest, brought.manifest.spec["rejected"]
    if as_json:
        facts = {name: getattr(manifest, name) for name in ("name", "version", "kind", "metric", "counts", "baselines")}
        answer({**facts, "records": brought.seen, "rejected": rejected})
        return
    rows = [
        [shots, str(each["groups"]), str(each["items"]), _scores(manifest.baselines.get(shots, {}))]
        for shots, each in manifest.counts.items()
    ]
    table(manifest.name, ["shots", "questions", "items", "answerers without a model"], rows)
    bad = ", ".join(f"{reason} {count}" for reason, count in rejected.items()) or "none"
    say(f"{out}: {state}; scored by {manifest.metric}; {brought.seen:,} records, rejected: {bad}")


def _scores(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
