"""`curate sweep design|run`: which mixture, found out by many short trainings. Other files add to the group `sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.console import answer, say
from pipelines.options import AsJson, DryRun, Overrides, Workers

sweep = typer.Typer(
    no_args_is_help=True, help="Mixture ablations: which mix of sources, formats and replay trains the best model."
)

SweepFile = Annotated[
    Path,
    typer.Argument(
        metavar="SPEC|OUT",
        help="YAML file: what varies, what is measured, how much; or a sweep's folder, to add trials to it.",
        show_default=False,
    ),
]
SweepOut = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="OUT", help="The sweep's folder; made when missing.", show_default=False)
]
SweepDir = Annotated[Path, typer.Argument(metavar="OUT", help="The sweep's folder.", show_default=False)]
Budget = Annotated[
    str, typer.Option("--budget", metavar="4h|20M tokens", help="Leave trials out that go over it.", show_default=False)
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Trials side by side; one a GPU, or one, by default.", show_default=False),
]
Next = Annotated[
    int, typer.Option("--next", metavar="N", min=0, help="Add N mixes that may beat the best one known.", show_default=False)
]
Confirm = Annotated[
    int,
    typer.Option(
        "--confirm", metavar="K", min=0, help="Add the prior and the K best mixes with fresh seeds.", show_default=False
    ),
]
Seeds = Annotated[int, typer.Option("--seeds", min=1, help="Fresh seeds of each mix of --confirm.")]
EngineName = Annotated[str, typer.Option("--engine", metavar="local|ray", help="Where trials run.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    sweep.command("design")(design)
    sweep.command("run")(run)
    app.add_typer(sweep, name="sweep")


def design(
    spec: SweepFile,
    workers: Workers,
    out: SweepOut = None,
    overrides: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    budget: Budget = "",
    next_: Next = 0,
    confirm: Confirm = 0,
    seeds: Seeds = 3,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Choose the trials of a sweep and say what they cost: runs, tokens, hours at this machine's pace, repeats.

    Scans the sources once, measures every sample once and makes a few steps of training, but runs no trial. The natural, the
    uniform and the prior mix are always there, the prior with several seeds. Exits 2 when the budget does not hold these.
    With --next or --confirm it adds trials to a sweep that has results; run and fit it again.

    Example:

        curate sweep design sweep.yaml --out sweeps/first --budget 4h
        curate sweep design sweep.yaml --out sweeps/first --set design.runs=40 --dry-run
        curate sweep design sweeps/first --next 4 --confirm 2
    """
    import tempfile

    from curate.errors import ConfigError
    from pipelines.console import Watch
    from pipelines.sweep.design import write_design
    from pipelines.sweep.designing import Designer
    from pipelines.sweep.settings import load_sweep
    from pipelines.sweep.telling import tell_design

    if spec.is_dir() or next_ or confirm:
        if out is not None or overrides or budget:
            raise ConfigError("--next and --confirm add to a sweep as it was designed; leave out --out, --set and --budget")
        _extend(spec, next_, confirm, seeds, dry_run, as_json)
        return
    if out is None:
        raise ConfigError("say where the sweep goes: --out sweeps/first")
    told = load_sweep(spec, [*overrides, *([f"budget={budget}"] if budget else [])])
    check_folder(out)
    watch = Watch()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            found = Designer(told, spec.parent, Path(scratch) if dry_run else out, workers, watch).design()
    finally:
        watch.close()
    if not dry_run:
        write_design(out, found)
    if as_json:
        answer(found.as_json())
        return
    tell_design(found)
    say("nothing was written" if dry_run else f"wrote {out}/design.json; next: curate sweep run {out}")


def _extend(out: Path, next_: int, confirm: int, seeds: int, dry_run: bool, as_json: bool) -> None:
    from pipelines.sweep.design import read_design
    from pipelines.sweep.extending import extend, price, wanted
    from pipelines.sweep.report.wording import mix

    before = read_design(out)
    rows = wanted(out, next_, confirm, seeds)
    after = before if dry_run else extend(out, rows)
    if as_json:
        told = [{"kind": kind, "shares": point.shares, "choices": point.choices, "seed": seed} for kind, point, seed in rows]
        answer({"added": told, "trials": len(after.trials), "cost": price(before, len(rows))})
        return
    for kind, point, seed in rows:
        say(f"{kind}, seed {seed}: {mix(before.space, {'shares': point.shares, 'choices': point.choices})}")
    cost = price(before, len(rows))
    took = f", {cost['seconds'] / 3600:.1f} h and {cost['tokens']:,} tokens more" if cost else ""
    say(f"{len(rows)} trials{took}; " + ("nothing was written" if dry_run else f"next: curate sweep run {out}"))


def run(
    out: SweepDir,
    jobs: Jobs = None,
    engine: EngineName = "local",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Run the trials of a sweep: each is mixed, trained and asked the benchmarks. Run it again and it goes on.

    Trials that are done stay done, also after a kill. One that fails is begun again, then reported, and the command exits 3
    when all others are done; logs lie in OUT/logs/trials. Several GPUs get a trial each.

    Example:

        curate sweep run sweeps/first --jobs 2
        curate sweep run sweeps/first --engine ray
    """
    from curate.settings import build
    from pipelines.sweep.design import read_design
    from pipelines.sweep.engines import engine_of
    from pipelines.sweep.pool import Pool
    from pipelines.sweep.running import SweepRunner
    from pipelines.sweep.setting import Setting
    from pipelines.sweep.settings import SweepSpec
    from pipelines.sweep.telling import tell_cost, tell_counts

    found = read_design(out)
    pool = Pool(out, Setting.of(found.setting))
    pool.check()
    tell_cost(found.cost)
    if dry_run:
        _tell_todo(out, as_json)
        return
    pool.measure(found.trials)
    spec = build(SweepSpec, found.spec, "design.json")
    runner = SweepRunner(out, found, spec, engine_of(engine, out, jobs), say)
    counts = runner.run()
    if as_json:
        answer(counts)
    else:
        tell_counts(counts, out)


def _tell_todo(out: Path, as_json: bool) -> None:
    from pipelines.sweep.design import read_design
    from pipelines.sweep.status import is_done

    trials = read_design(out).trials
    todo = [trial.id for trial in trials if not is_done(out, trial.id)]
    if as_json:
        answer({"trials": len(trials), "to_do": todo})
    else:
        say(f"{len(todo)} of {len(trials)} trials are to be run")


def check_folder(out: Path) -> None:
    """InputError when a file is in the way."""
    from curate.errors import InputError

    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give --out the name of a folder")
