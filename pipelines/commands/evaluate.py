"""`curate evaluate MODEL BENCH...|compare`: what a model answers to frozen benchmarks, and models beside each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import answer, say
from pipelines.groups import with_default
from pipelines.options import AsJson, DryRun, Overrides

if TYPE_CHECKING:
    from curate.benches import Bench
    from train.evaluate.cells import EvaluateSettings

RUN = "run"

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A model's folder or hub name, a run of the trainer, or an export.", show_default=False
    ),
]
Benches = Annotated[list[str], typer.Argument(metavar="BENCH", help="Folders of benchmarks.", show_default=False)]
Outs = Annotated[list[str], typer.Argument(metavar="OUT", help="Folders of evaluations.", show_default=False)]
EvaluationOut = Annotated[
    str, typer.Option("--out", "-o", metavar="OUT", help="The evaluation's folder; made when missing.", show_default=False)
]
Shots = Annotated[
    str,
    typer.Option(
        "--shots", metavar="0,1,...", help="Numbers of shots; all that a benchmark has by default.", show_default=False
    ),
]
Conditions = Annotated[
    str,
    typer.Option(
        "--conditions",
        metavar="NAME,...",
        help="full, none, text, shuffled, swapped; all by default.",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        metavar="GROUPS",
        help="Ask so many groups of each benchmark and shots.",
        show_default=False,
    ),
]
Scoring = Annotated[
    str, typer.Option("--scoring", metavar="auto|generate", help="generate: choices are written, not scored by likelihood.")
]
Costs = Annotated[
    int,
    typer.Option(
        "--costs",
        min=0,
        metavar="QUESTIONS",
        help="Also measure what so many questions cost, one by one: prompt tokens, time, memory.",
        show_default=False,
    ),
]
Name = Annotated[str | None, typer.Option("--name", help="What the model is called in tables.", show_default=False)]
Compare = Annotated[str, typer.Option("--conditions", metavar="NAME,...", help="Conditions that are compared.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        cls=with_default(RUN),
        no_args_is_help=True,
        subcommand_metavar="MODEL BENCH... --out OUT | COMMAND ...",
        help="Benchmarks: `curate evaluate MODEL BENCH... --out OUT` asks a model; `compare` sets evaluations side by side.",
    )
    group.command(RUN)(run)
    group.command("compare")(compare)
    app.add_typer(group, name="evaluate")


def run(
    model: Model,
    benches: Benches,
    out: EvaluationOut,
    shots: Shots = "",
    conditions: Conditions = "",
    limit: Limit = None,
    scoring: Scoring = "auto",
    costs: Costs = 0,
    name: Name = None,
    overrides: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Ask a model benchmarks, with the controls beside the score: the default, so `curate evaluate MODEL BENCH` is enough.

    Run it again and it goes on where it stopped; with more shots, conditions, benchmarks or a larger limit it adds to what
    is there. --set takes settings of the reader (batch_tokens, dtype, device, max_tokens, ...) and of the evaluation
    (max_new_tokens, chunk, seed). --costs measures on this machine, anew each time, into OUT/costs.json.

    Example:

        curate evaluate runs/icl benches/* --out evaluations/icl
        curate evaluate runs/icl benches/emoji --out evaluations/quick --shots 0,1 --limit 50 --costs 8
    """
    from curate.benches import Bench
    from pipelines.evaluating import settings_of

    wanted = {"shots": _numbers(shots), "scoring": scoring, "limit": limit} | _named(conditions)
    settings, reading = settings_of(wanted, overrides)
    opened = [Bench.open(bench) for bench in benches]
    if dry_run:
        _tell_plan(model, opened, out, settings, as_json)
        if costs:
            say(
                f"then the costs of at most {costs} questions of each cell with whole or without demonstrations, cold and warm"
            )
        return
    from dataclasses import asdict

    from pipelines.evaluating import measured_costs, tell_costs, tell_rows, watching
    from train.evaluate.evaluating import evaluate, planned
    from train.evaluate.reader import VlmReader

    planned(opened, out, settings)  # what can be wrong is said before a model is loaded
    with watching() as watch:
        evaluation = evaluate(VlmReader.load(model, reading), opened, out, settings, watch, name)
    spent = measured_costs(model, opened, out, settings, reading, costs) if costs else []
    if as_json:
        told = {"costs": [asdict(cost) for cost in spent]} if costs else {}
        answer({"evaluation": out, "model": evaluation.name, "rows": [asdict(row) for row in evaluation.rows], **told})
    else:
        tell_rows(evaluation)
        tell_costs(spent)


def compare(outs: Outs, conditions: Compare = "full", shots: Shots = "", as_json: AsJson = False) -> None:
    """Set evaluations beside the first one: differences with intervals and paired tests, item by item.

    Intervals are a paired bootstrap, p-values a sign-flip test, both over groups; `p (Holm)` is corrected for all tests shown.

    Example:

        curate evaluate compare evaluations/baseline evaluations/icl
    """
    from dataclasses import asdict

    from curate.comparisons import compare_evaluations
    from curate.evaluations import Evaluation
    from pipelines.evaluating import tell_comparisons

    rows = compare_evaluations([Evaluation.open(out) for out in outs], _words(conditions), _numbers(shots))
    if as_json:
        answer([asdict(row) for row in rows])
    else:
        tell_comparisons(rows)


def _tell_plan(model: str, benches: "list[Bench]", out: str, settings: "EvaluateSettings", as_json: bool) -> None:
    from pipelines.evaluating import Watching, tell_plan
    from train.checkpoint import weights_of
    from train.evaluate.evaluating import planned
    from train.model.places import check

    base = weights_of(model).base
    if check(base, "a vision-language model") and not Path(base).is_dir():
        say(f"{base} is no folder here, and the hub does not answer: only a copy that was downloaded before would do")
    cells = planned(benches, out, settings, Watching())
    if as_json:
        answer([plan.as_json() for plan in cells])
    else:
        tell_plan(cells)


def _named(conditions: str) -> dict[str, tuple[str, ...]]:
    return {"conditions": _words(conditions)} if conditions else {}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str) -> tuple[int, ...]:
    from curate.errors import ConfigError

    try:
        return tuple(sorted({int(word) for word in _words(text)}))
    except ValueError:
        raise ConfigError(f"--shots wants numbers, as in --shots 0,1,2, not {text!r}") from None
