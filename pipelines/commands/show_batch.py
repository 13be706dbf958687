"""`curate show-batch`: what the trainer will read at a step, for a person."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import answer, now_and_then, say
from pipelines.options import AsJson, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from curate.shards.plans import Plan
    from train.data.lengths import Lengths
    from train.data.loader import LoaderSettings
    from train.data.rendering import Renderer
    from train.data.show import ShownRow

PlanDir = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's folder (curate mix).", show_default=False)]
Model = Annotated[
    str, typer.Option("--model", "-m", help="Folder of a model's processor, or a model on the hub.", show_default=False)
]
Step = Annotated[int, typer.Option("--step", min=0, help="Which step of the training.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Rows of a step.")]
ShowRows = Annotated[int, typer.Option("--rows", min=0, help="How many of the rows to show; 0 for all.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the loader's order.")]
Mode = Annotated[str, typer.Option("--mode", help="turns, single or images_first.")]
Loss = Annotated[str, typer.Option("--loss", help="all, last or weighted.")]
Drop = Annotated[str, typer.Option("--drop", help="What goes first: farthest, nearest, first, last or random.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="Positions of a row, and of an episode at most.")]
MaxImages = Annotated[int, typer.Option("--max-images", min=0, help="Pictures of a row, and of an episode; 0 for no limit.")]
Packing = Annotated[bool, typer.Option("--packing/--no-packing", help="Several episodes in a row, or one.")]
Page = Annotated[str, typer.Option("--html", metavar="FILE", help="Write a page instead of printing.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("show-batch")(show_batch)


def show_batch(
    plan: PlanDir,
    model: Model,
    workers: Workers,
    step: Step = 0,
    batch: Batch = 8,
    rows: ShowRows = 0,
    mode: Mode = "turns",
    loss: Loss = "all",
    drop: Drop = "farthest",
    max_tokens: MaxTokens = 4096,
    max_images: MaxImages = 0,
    packing: Packing = True,
    seed: Seed = 0,
    page: Page = "",
    as_json: AsJson = False,
) -> None:
    """Show what a step of training reads: every row's episodes, pictures folded, learned text marked.

    Learned text is coloured on a terminal and stands in [[double brackets]] elsewhere; a weight other than 1 follows.
    The plan's samples are measured once for a model and these settings, which training then finds done.

    Example:

        curate show-batch runs/plan --model models/llava --step 3 --rows 1
    """
    from pathlib import Path

    from curate.settings import build
    from curate.shards.plans import Plan
    from train.data.loader import LoaderSettings
    from train.data.rendering import Renderer, RenderSettings

    limits = {"max_tokens": max_tokens, "max_images": max_images or None}
    render = build(RenderSettings, {"mode": mode, "loss": loss, "drop": drop, **limits}, "show-batch")
    load = build(LoaderSettings, {"batch": batch, "seed": seed, "packing": packing, **limits}, "show-batch")
    opened = Plan.open(plan)
    found, lengths = _rows(opened, Renderer.load(model, render), load, step, rows, workers)
    if as_json:
        answer(_plain(found, lengths, step))
    elif page:
        _write_page(found, Path(page), f"{plan}, step {step}")
    else:
        _print(found, lengths)


def _rows(
    plan: "Plan", renderer: "Renderer", load: "LoaderSettings", step: int, rows: int, workers: int
) -> "tuple[list[ShownRow], Lengths]":
    from train.data.lengths import measure
    from train.data.show import shown, step_rows

    heard = now_and_then()
    lengths = measure(plan, renderer, workers, lambda done, total: heard(f"measuring samples: {done:,} of {total:,}"))
    chosen = step_rows(plan, lengths, load, step)
    return list(shown(plan, renderer, chosen[: rows or None], load.max_tokens if load.packing else None)), lengths


def _print(rows: "Sequence[ShownRow]", lengths: "Lengths") -> None:
    import os
    import sys

    from train.data.show_text import as_text, brackets

    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line in as_text(rows, _coloured if coloured else brackets):
        typer.echo(line)
    for reason, count in lengths.unusable.items():
        say(f"{count:,} of the plan's {len(lengths):,} samples cannot be used: {reason}")


def _coloured(text: str, weight: float) -> str:
    shown = "\n".join(typer.style(line, fg=typer.colors.GREEN, bold=True) for line in text.split("\n"))
    return shown + (typer.style(f"×{weight:g}", dim=True) if weight != 1 else "")


def _plain(rows: "Sequence[ShownRow]", lengths: "Lengths", step: int) -> dict[str, object]:
    from dataclasses import asdict

    known = {"step": step, "samples": len(lengths), "unusable": lengths.unusable, "neutralised": lengths.neutralised}
    return {**known, "rows": [{**asdict(row), "padding": round(row.padding, 6)} for row in rows]}


def _write_page(rows: "Sequence[ShownRow]", path: "Path", title: str) -> None:
    from curate.storage import Folder
    from train.data.show_text import as_page

    Folder.of(path.parent).write(path.name, as_page(rows, title).encode())
    say(f"written: {path}")
