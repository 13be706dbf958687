"""`python -m pipelines.headline RECIPE.yaml --out OUT`: the whole experiment by one command."""

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from curate.errors import ConfigError, InputError, ShotcraftError
from pipelines.console import answer, say, table
from pipelines.headline.estimating import Estimate, Estimator, finish_of, measured_step
from pipelines.headline.plan import Planner
from pipelines.headline.scores import read_scores
from pipelines.headline.settings import Experiment, load_experiment
from pipelines.headline.summary import summarise
from pipelines.headline.telling import write_summary
from pipelines.headline.trained import trained_stages
from pipelines.jobs.job import Job
from pipelines.jobs.paces import clock
from pipelines.jobs.running import Runner


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the experiment, or tells what it would do; 2 or 3 for what a user can mend, 130 when it was stopped."""
    told = _parser().parse_args(arguments)
    try:
        _do(told)
    except ShotcraftError as error:
        say(f"error: {' '.join(str(error).split())}")
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.headline",
        description="Data, benchmarks, trainings, evaluations and a report of one experiment. Run it again and it goes on.",
    )
    parser.add_argument("recipe", type=Path, help="the experiment's YAML file")
    parser.add_argument("--out", "-o", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument(
        "--over", type=Path, action="append", default=[], metavar="FILE", help="YAML laid over the experiment's"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting, dotted")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="jobs by name, with what they need")
    parser.add_argument("--dry-run", action="store_true", help="list the jobs and the hours they take, write nothing")
    parser.add_argument("--summary", action="store_true", help="write the summary of what is there, run nothing")
    parser.add_argument("--json", action="store_true", help="the answer as one JSON document on standard output")
    return parser


def _do(told: argparse.Namespace) -> None:
    experiment = load_experiment(told.recipe, told.over, told.set)
    planner = Planner(experiment, told.recipe.parent)
    jobs = chosen(planner.jobs(), told.only)
    if told.dry_run:
        tell_plan(experiment, jobs, told.out, told.json)
        return
    if not told.summary:
        if told.out.exists() and not told.out.is_dir():
            raise InputError(f"{told.out} is a file; give --out the name of a folder")
        told.out.mkdir(parents=True, exist_ok=True)
        Runner(told.out, jobs, experiment.jobs, planner.threads, say).run()
    if told.only and not told.summary:
        return
    summary = summarise(read_scores(experiment, told.out), trained_stages(experiment, told.out))
    place = write_summary(summary, experiment, told.out)
    if told.json:
        answer(summary.as_json())
    say(f"{place}: {len(summary.gains)} benchmarks" + (f", {len(summary.missing)} not measured yet" * bool(summary.missing)))


def chosen(jobs: list[Job], patterns: Sequence[str]) -> list[Job]:
    """The jobs that a pattern names and all that they need, in order; all of them without a pattern."""
    if not patterns:
        return jobs
    by_name = {job.name: job for job in jobs}
    wanted = {name for name in by_name if any(fnmatch(name, pattern) for pattern in patterns)}
    if not wanted:
        raise ConfigError(f"--only {' '.join(patterns)} names no job; --dry-run lists them")
    for job in reversed(jobs):
        if job.name in wanted:
            wanted.update(job.needs)
    return [job for job in jobs if job.name in wanted]


def tell_plan(experiment: Experiment, jobs: list[Job], out: Path, as_json: bool) -> None:
    """What would be done, and the hours."""
    estimates = Estimator(experiment, out, partial(measured_step, out)).all(jobs)
    rest = finish_of(estimates, experiment.jobs)
    if as_json:
        rows = [{"job": one.job.name, "done": one.done, "seconds": round(one.seconds), "by": one.by} for one in estimates]
        answer({"jobs": rows, "seconds": round(rest)})
        return
    table("what would be done", ("job", "time", "known by"), [_row(one) for one in estimates])
    todo = sum(not one.done for one in estimates)
    side = f", {experiment.jobs} side by side" if experiment.jobs > 1 else ""
    say(f"{todo} of {len(jobs)} jobs are to be done{side}: about {clock(rest)}" if todo else "everything is done")


def _row(one: Estimate) -> tuple[str, str, str]:
    return one.job.name, "" if one.done else clock(one.seconds), one.by


if __name__ == "__main__":
    sys.exit(main())
