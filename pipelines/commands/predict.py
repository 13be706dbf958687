"""`curate predict`: labels or captions for a folder of pictures, from a handful of labelled ones."""

from collections import Counter
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.console import answer, now_and_then, say, table
from pipelines.options import AsJson, Config, DryRun, MaxRejected, Overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from curate.labelled import LabelledSet, Pictures
    from train.evaluate import PredictSettings
    from train.evaluate.predicting import Summary
    from train.evaluate.records import Reader
    from train.evaluate.selecting import Embedder

SHOWN = 20
"""Labels in the table that the command prints."""


class Select(StrEnum):
    """Which demonstrations a picture is shown with."""

    fixed = "fixed"
    retrieved = "retrieved"


class Labels(StrEnum):
    """What may be answered."""

    closed = "closed"
    open = "open"


class LabelOf(StrEnum):
    """What of a run's demonstration is its label."""

    answer = "answer"
    concept = "concept"


Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A model's folder or hub name, a training run, or a checkpoint.", show_default=False),
]
Demos = Annotated[
    str,
    typer.Option(
        metavar="LABELLED", help="A folder with a folder for each label, a .csv or .jsonl table, or a run.", show_default=False
    ),
]
Images = Annotated[str, typer.Option(metavar="FOLDER", help="The pictures to label; a folder or a file.", show_default=False)]
OutFile = Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="A .jsonl or .csv file.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("predict")(predict)


def predict(
    model: Model,
    demos: Demos,
    images: Images,
    out: OutFile,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Demonstrations of each label; in all with --labels open.  [default: 4]")
    ] = None,
    select: Annotated[
        Select | None, typer.Option(help="The same for all, or the most similar to each picture.  [default: fixed]")
    ] = None,
    ways: Annotated[int | None, typer.Option(min=2, help="With retrieved: only the so many nearest labels.")] = None,
    labels: Annotated[
        Labels | None, typer.Option(help="The likeliest known label with scores, or free text.  [default: closed]")
    ] = None,
    balanced: Annotated[
        bool | None,
        typer.Option("--balanced/--unbalanced", help="As many of each label, or those that come first.", show_default=False),
    ] = None,
    letters: Annotated[bool, typer.Option("--letters", help="Ask for the letter of an option instead of the label.")] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Divide out what a blank picture makes likely, against favoured labels.")
    ] = False,
    question: Annotated[
        str | None, typer.Option(help="What to ask; {options} stands for the labels.", show_default=False)
    ] = None,
    label_of: Annotated[
        LabelOf | None, typer.Option(help="Of a run's demonstrations: answer or most specific concept.  [default: answer]")
    ] = None,
    encoder: Annotated[str, typer.Option(help="What finds the most similar ones; as for `curate embed`.")] = "offline",
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    max_rejected: MaxRejected = 1.0,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Labels or captions your own pictures, from a handful of labelled ones.

    With closed labels every picture gets the likeliest of the labels that the demonstrations have, and a score for each.
    With open labels the model writes. Pictures are asked about in batches and written down as it goes: interrupt it, run it
    again, and it goes on; no picture is doubled. Unreadable pictures stand in FILE.rejected.jsonl and are tried again.

    Example:

        curate predict models/icl --demos labelled --images photos --out labels.csv

        curate predict models/icl --demos runs/mine --images photos --select retrieved --shots 2 --ways 5 --out labels.jsonl
    """
    from curate.errors import InputError
    from curate.labelled import Pictures, read_labelled
    from train.evaluate import Predictor
    from train.evaluate.predicting import reading

    given = {
        "shots": shots, "select": select, "ways": ways, "labels": labels, "letters": letters or None,
        "calibrate": calibrate or None, "question": question, "label_of": label_of, "balanced": balanced,
    }  # fmt: skip
    settings, reader = _settings(config, overrides, given)
    labelled, pictures = read_labelled(demos, settings.label_of), Pictures(images)
    if not pictures.names:
        raise InputError(f"{images} holds no pictures; they are told by their names' endings (.jpg, .png, .webp, .svg, ...)")
    _check_rejected(
        "labelled pictures", len(labelled.rows), dict(Counter(one.reason for one in labelled.rejected)), max_rejected
    )
    for line in _remarks(labelled, settings):
        say(line)
    if dry_run:
        _tell_plan(labelled, pictures, settings, as_json)
        return
    embedder = _embedder(encoder) if settings.select == "retrieved" else None
    predictor = Predictor(_reader(model, reading(settings, reader)), labelled, settings, embedder)
    summary = predictor.write(pictures, out, _progress())
    _tell(summary, out, as_json)
    _check_rejected("pictures", summary.pictures - sum(summary.rejected.values()), summary.rejected, max_rejected)


def _settings(
    config: "Path | None", overrides: list[str], given: "Mapping[str, Any]"
) -> "tuple[PredictSettings, dict[str, Any]]":
    """Settings of the predictions and what is told of the reader: the options over --set over the file."""
    from curate.settings import build, read_yaml, with_overrides
    from train.evaluate import PredictSettings

    plain = with_overrides(read_yaml(config) if config else {}, overrides)
    plain |= {name: str(value) if isinstance(value, StrEnum) else value for name, value in given.items() if value is not None}
    reader = plain.pop("reader", None) or {}
    return build(PredictSettings, plain), reader


def _reader(model: str, settings: "Mapping[str, Any]") -> "Reader":
    from curate.settings import build
    from train.evaluate.reader import ReaderSettings, VlmReader

    return VlmReader.load(model, build(ReaderSettings, settings, "reader"))


def _embedder(name: str) -> "Embedder":
    """The offline encoder's tower is better between pictures than its joint space; models of others are meant to be joint."""
    from curate.encoders import load_encoder

    return load_encoder(name, "tower" if name == "offline" else "joint")


def _progress() -> "Callable[[int, int], None]":
    say_sometimes = now_and_then()

    def progress(done: int, total: int) -> None:
        say_sometimes(f"predict: {done:,} of {total:,} pictures")

    return progress


def _remarks(labelled: "LabelledSet", settings: "PredictSettings") -> "Iterator[str]":
    """What a person should know of the demonstrations before they are used."""
    from train.evaluate.questions import beginnings

    labels = labelled.labels
    if labelled.rejected:
        first, bad = labelled.rejected[0], len(labelled.rejected)
        told = f"the first: {first.name}: {first.reason}"
        yield f"{bad:,} of {len(labelled.rows) + bad:,} labelled pictures rejected ({told})"
    if settings.labels != "closed":
        return
    if len(labels) > 20 and 2 * len(labels) > len(labelled.rows):
        yield f"{len(labels):,} labels of {len(labelled.rows):,} pictures look like captions; --labels open would write"
    if not settings.letters and (pairs := beginnings(labels)):
        one, other = pairs[0]
        yield f"{one!r} begins {other!r} and can never be less likely; rename one, or use --letters"


def _tell_plan(labelled: "LabelledSet", pictures: "Pictures", settings: "PredictSettings", as_json: bool) -> None:
    sizes = Counter(row.label for row in labelled.rows)
    if as_json:
        answer({"pictures": len(pictures.names), "labels": dict(sizes.most_common()), "settings": settings.model_dump()})
        return
    say(f"would label {len(pictures.names):,} pictures by {settings.select} demonstrations, {settings.labels} labels")
    table("Demonstrations", ("label", "pictures"), [(_short(label), f"{n:,}") for label, n in sizes.most_common(SHOWN)])


def _tell(summary: "Summary", out: str, as_json: bool) -> None:
    if as_json:
        answer({**asdict(summary), "out": out})
        return
    rows = [(_short(label), f"{count:,}") for label, count in list(summary.labels.items())[:SHOWN]]
    if len(summary.labels) > SHOWN:
        rows.append((f"({len(summary.labels) - SHOWN:,} more)", f"{sum(list(summary.labels.values())[SHOWN:]):,}"))
    table("Labels", ("label", "pictures"), rows)
    lost = "".join(f", {count:,} {reason}" for reason, count in summary.rejected.items())
    say(f"{out}: {summary.predicted:,} rows, {summary.new:,} of them new, {sum(summary.rejected.values()):,} rejected{lost}")


def _short(label: str) -> str:
    line = " ".join(label.split())
    return line if len(line) <= 60 else line[:59] + "…"


def _check_rejected(what: str, good: int, rejected: "Mapping[str, int]", most: float) -> None:
    from curate.errors import QualityError

    bad = sum(rejected.values())
    if bad > most * (good + bad):
        worst = ", ".join(f"{count} {reason}" for reason, count in rejected.items())
        raise QualityError(f"{bad} of {good + bad} {what} rejected ({worst}), over --max-rejected {most:g}")
