"""`curate align`: documents into demonstrations. Joins the room of demonstrations to that of encoders."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.console import Watch, report_stage, say
from pipelines.options import AsJson, Config, DryRun, MaxRejected, Overrides, RunDir, Workers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image as Picture

    from curate.encoders.base import Encoder

EncoderName = Annotated[
    str, typer.Option("--encoder", help="offline, open_clip:MODEL/PRETRAINED, or none: captions and alt texts only.")
]
Sources = Annotated[list[str], typer.Option("--source", help="Only this source of documents; may be repeated.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("align")(align_command)


class EncoderScorer:
    """An encoder as the scorer that `curate.demonstrations.align` asks for; the model is loaded where it is used."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._encoder: Encoder | None = None

    def _loaded(self) -> "Encoder":
        if self._encoder is None:
            from curate.encoders.load import load_encoder

            self._encoder = load_encoder(self._name)
        return self._encoder

    @property
    def fingerprint(self) -> str:
        """The encoder's own."""
        return self._loaded().fingerprint

    def setup(self) -> None:
        """Loads the model; on a CPU each worker computes with one thread, as `curate embed` does."""
        import torch

        if self._loaded().device == "cpu":
            torch.set_num_threads(1)

    def vectors_of_images(self, pictures: "list[Picture]") -> "npt.NDArray[np.float32]":
        """Pictures as unit vectors [B, D]."""
        return self._loaded().encode_images(pictures)

    def vectors_of_texts(self, texts: list[str]) -> "npt.NDArray[np.float32]":
        """Texts as unit vectors [B, D]."""
        return self._loaded().encode_texts(texts)

    def __getstate__(self) -> dict[str, object]:
        return {"_name": self._name, "_encoder": None}


def align_command(
    run: RunDir,
    workers: Workers,
    encoder: EncoderName = "offline",
    source: Sources = [],  # noqa: B006  typer reads the default and never changes it
    config: Config = None,
    set_: Overrides = [],  # noqa: B006
    max_rejected: MaxRejected = 0.5,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Gives every image of RUN/documents the words that belong to it, as demonstrations.

    Captions win, then telling alt texts; the other images share the document's sentences by linear sum
    assignment on image-text similarity. Set the floor to suit the encoder.

    Example:

        curate align runs/first --encoder offline --set floor=0.15
    """
    from curate.demonstrations.aligning import AlignSettings, align
    from curate.engine import check_rejected
    from curate.layout import Run
    from curate.settings import load

    settings = load(AlignSettings, config, set_)
    place = Run.at(run)
    if dry_run:
        say(f"would align {', '.join(folder.uri for folder in place.required('documents'))} with encoder {encoder}")
        return
    scorer = None if encoder == "none" else EncoderScorer(encoder)
    for manifest in align(settings, place, scorer, source, workers, Watch()):
        report_stage(manifest, as_json)
        check_rejected(manifest, max_rejected)
