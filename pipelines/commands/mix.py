"""`curate mix SPEC|show|diff`: plans over existing shards, looked at and compared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import Watch, answer, say
from pipelines.groups import with_default
from pipelines.options import AsJson, DryRun, Overrides, Workers

if TYPE_CHECKING:
    from curate.shards.plans import Plan

BUILD = "build"

SpecFile = Annotated[
    Path, typer.Argument(metavar="SPEC", help="YAML file: sources, weights, quotas, curriculum.", show_default=False)
]
PlanOut = Annotated[
    str, typer.Option("--out", "-o", metavar="PLAN", help="The plan's folder; made when missing.", show_default=False)
]
PlanDir = Annotated[
    str, typer.Argument(metavar="PLAN", help="The plan's folder; a path or an fsspec URL.", show_default=False)
]
Other = Annotated[str, typer.Argument(metavar="B", help="The plan that is compared with A.", show_default=False)]
First = Annotated[str, typer.Argument(metavar="A", help="A plan's folder.", show_default=False)]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", help="Write a page with plots, one file that needs no network.", show_default=False
    ),
]
Materialise = Annotated[
    bool, typer.Option("--materialise", help="Also write PLAN/shards: the samples in plan order as shards of their own.")
]
AllowNearest = Annotated[
    bool, typer.Option("--allow-nearest", help="Exit 0 also when a share is off by more than the tolerance.")
]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        cls=with_default(BUILD),
        no_args_is_help=True,
        subcommand_metavar="SPEC --out PLAN | COMMAND ...",
        help="Plans: which samples of which shards, in which order. `curate mix SPEC.yaml --out PLAN` builds one.",
    )
    group.command(BUILD)(build)
    group.command("show")(show)
    group.command("diff")(diff)
    app.add_typer(group, name="mix")


def build(
    spec: SpecFile,
    out: PlanOut,
    workers: Workers,
    set_: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    materialise: Materialise = False,
    allow_nearest: AllowNearest = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Build a plan from a spec: the default, so `curate mix SPEC.yaml --out PLAN` is enough.

    A plan points into existing shards and copies nothing. The table shows each share that was asked for beside what
    came of it, and why where the data cannot give it. Exits 3 when one is off by more than the spec's tolerance; the
    nearest plan is written all the same, and --allow-nearest accepts it.

    Example:

        curate mix mix.yaml --out plans/first
        curate mix build mix.yaml --out plans/control --set order=flat
    """
    from curate.mixture.build import check_shares, stale_shards
    from pipelines.mixing import Job
    from pipelines.mixtables import summary, would

    job = Job.read(spec, set_, out)
    if dry_run:
        would(job, as_json)
        return
    watch = Watch()
    try:
        plan = job.build(workers, watch, materialise)
    finally:
        watch.close()
    if as_json:
        answer(summary(plan))
    else:
        _tell(plan, whole=False)
    if stale_shards(plan):
        say(f"{out}/shards holds the shards of another plan; --materialise writes this one's")
    if not allow_nearest:
        check_shares(plan)


def show(plan: PlanDir, html: Html = None, as_json: AsJson = False) -> None:
    """Show a plan: the mix that was asked for beside the realised one, and the curriculum block by block.

    Example:

        curate mix show plans/first --html mix.html
    """
    from curate.shards.plans import Plan
    from pipelines.mixtables import summary

    opened = Plan.open(plan)
    if html is not None:
        from curate.report.mixing import write_mix_page

        say(f"wrote {write_mix_page(opened, html)}")
    if as_json:
        answer(summary(opened))
    elif html is None:
        _tell(opened)


def diff(a: First, b: Other, as_json: AsJson = False) -> None:
    """Compare two plans: are they the same samples, which are in one only, and which shares differ.

    Samples are told by their content, so the shards may lie elsewhere, or be those of --materialise.

    Example:

        curate mix diff plans/first plans/control
    """
    from curate.mixture.diff import diff as compare
    from curate.shards.plans import Plan
    from pipelines.mixtables import as_data, tell_diff

    found = compare(Plan.open(a), Plan.open(b))
    if as_json:
        answer(as_data(found))
    else:
        tell_diff(found)


def _tell(plan: "Plan", whole: bool = True) -> None:
    from pipelines.mixtables import tell

    tell(plan, whole)
