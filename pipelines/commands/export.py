"""`curate export`: a checkpoint as a model that transformers loads."""

from typing import Annotated, Literal

import typer

from pipelines.console import answer, say, table
from pipelines.options import AsJson, RunDir

To = Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="The model's folder.", show_default=False)]
Checkpoint = Annotated[str, typer.Option("--checkpoint", metavar="latest|best|N", help="Which one; N is a step.")]
Lora = Annotated[Literal["merged", "apart"], typer.Option("--lora", help="Adapters in the weights, or as a peft adapter.")]
Dtype = Annotated[Literal["float32", "bfloat16"], typer.Option("--dtype", help="Type of the weights.")]
Base = Annotated[
    str | None, typer.Option("--base", metavar="MODEL", help="Where the model lies now that the run started from, if moved.")
]
RemoteCode = Annotated[bool, typer.Option("--remote-code", help="Run code that comes with the model; read it before.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export")(export_command)


def export_command(
    run: RunDir,
    out: To,
    checkpoint: Checkpoint = "latest",
    lora: Lora = "merged",
    dtype: Dtype = "float32",
    base: Base = None,
    remote_code: RemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Writes a checkpoint of a training RUN as a model folder: safetensors, processor, model card.

    Needs no GPU, whatever the run was trained on. An older export in DIR is replaced, anything else is left alone.

    Example:

        curate export runs/icl --out models/icl --checkpoint best --dtype bfloat16
    """
    from pathlib import Path

    from train.export import export

    facts = export(Path(run), Path(out), _which(checkpoint), lora, dtype, base, remote_code, say)
    if as_json:
        answer(facts)
        return
    size = sum(int(file["size"]) for file in facts["files"].values())
    rows = [
        ("folder", out),
        ("step", f"{facts['step']:,}"),
        ("files", f"{len(facts['files']):,}"),
        ("megabytes", f"{size / 1e6:,.1f}"),
    ]
    table("exported", ("", "value"), rows)


def _which(text: str) -> 'Literal["latest", "best"] | int':
    from curate.errors import ConfigError

    if text in ("latest", "best"):
        return "best" if text == "best" else "latest"
    if text.isascii() and text.isdigit():
        return int(text)
    raise ConfigError(f"--checkpoint wants latest, best or a step, not {text!r}")
