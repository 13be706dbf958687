"""`curate search`: which demonstrations are nearest to a picture, a text or another demonstration."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.index import Space
from pipelines.console import answer, table
from pipelines.options import AsJson, RunDir

if TYPE_CHECKING:
    from curate.retrieval import Hit, Searcher

Picture = Annotated[Path | None, typer.Option("--image", metavar="FILE", help="A picture to start from.", show_default=False)]
Text = Annotated[str | None, typer.Option("--text", help="A text to start from.", show_default=False)]
Id = Annotated[str | None, typer.Option("--id", help="A demonstration to start from.", show_default=False)]
Count = Annotated[int, typer.Option("-k", min=1, max=10_000, help="How many to show.")]
Among = Annotated[Space, typer.Option("--space", help="Search among images or among texts.")]
EncoderName = Annotated[
    str, typer.Option("--encoder", help="Where to load the encoder from, when it has moved.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("search")(search)


def search(
    run: RunDir,
    image: Picture = None,
    text: Text = None,
    demonstration: Id = None,
    count: Count = 10,
    space: Among = Space.image,
    encoder: EncoderName = "",
    as_json: AsJson = False,
) -> None:
    """Finds the demonstrations of a run that are nearest to a picture, a text or a demonstration.

    A text finds images where the embeddings are in the joint space of images and texts. `--id` needs no model.

    Example:

        curate search runs/demo --text "a red apple"

        curate search runs/demo --image photo.jpg -k 5 --json
    """
    from curate.errors import ConfigError
    from curate.layout import Run
    from curate.retrieval import Searcher

    if sum(given is not None for given in (image, text, demonstration)) != 1:
        raise ConfigError("give one of --image FILE, --text TEXT and --id ID")
    hits = _ask(Searcher(Run.at(run), space.value, encoder), image, text, demonstration, count)
    if as_json:
        answer([dataclasses.asdict(hit) for hit in hits])
        return
    rows = [_row(hit) for hit in hits]
    table("Nearest demonstrations", ("similarity", "id", "concept", "answer", "image"), rows, left=5)


def _ask(searcher: "Searcher", image: Path | None, text: str | None, demonstration: str | None, count: int) -> "list[Hit]":
    from curate.errors import InputError

    if demonstration is not None:
        return searcher.by_id(demonstration, count)
    if text is not None:
        return searcher.by_text(text, count)
    assert image is not None
    try:
        data = image.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {image}: {error.strerror}") from None
    return searcher.by_image(data, count)


def _row(hit: "Hit") -> tuple[str, ...]:
    """One line of the table; a long answer is cut, and the picture's path is the one inside the run."""
    said = " ".join(hit.answer.split())
    said = said if len(said) <= 60 else said[:59] + "…"
    return (f"{hit.similarity:.4f}", hit.id, hit.concepts[0] if hit.concepts else "", said, hit.image)
