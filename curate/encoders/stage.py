"""`curate embed`: records of a run into unit vectors on disk, part by part.

A part of the demonstrations becomes a part of the embeddings; its rows are read where they are embedded, so memory
does not grow with the data. The same records give the same bytes on any number of workers: parts and batches are
cut by the data alone, every forward pass has the same number of rows, and on a CPU each worker computes with one thread.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from curate.encoders.base import ImageSpace, Pixels, Precision
from curate.encoders.load import load_encoder
from curate.encoders.parts import Vector, as_npy, filled, mean_unit
from curate.encoders.prefetch import ahead
from curate.encoders.rows import Row, Source, TextOf, What, count_of, inputs_of, partitions, rows_in
from curate.engine import PartWriter, Progress, StageManifest
from curate.engine import run as run_stage
from curate.errors import InputError
from curate.images import MAX_PIXELS, BadImage, open_rgb
from curate.layout import Run
from curate.settings import Settings
from curate.storage import Folder, ImageStore

if TYPE_CHECKING:
    from curate.encoders.openclip import OpenClipEncoder


class EmbedSettings(Settings):
    """What is embedded and by what."""

    encoder: str = "offline"
    """`offline`, or as curate.encoders.load explains."""
    image_space: ImageSpace = "joint"
    """joint compares with texts; tower is better between images."""
    text: TextOf = "both"
    """Which text of a demonstration stands for it: its question, its answer, or one after the other."""
    precision: Precision = "auto"
    """bfloat16 is half as fast again on a CPU that has it (AMX, AVX512-BF16), and exact to two digits less."""
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    """Larger images are rejected before they are decoded."""


class Embed:
    """Turns rows into a table (demonstration_id, image_ref, has_image, has_text) and two files of vectors.

    Zeros stand where a record has no image or no text. A record with several images gets the mean direction
    of their vectors, and the ref of the first.
    """

    name, version = "embed", "2"

    def __init__(
        self, settings: EmbedSettings, what: What, images: ImageStore, encoder: "OpenClipEncoder", device: str = ""
    ) -> None:
        # A path in the encoder's name stays out of the manifest; its fingerprint stands among the inputs.
        self.settings: Settings = settings.model_copy(update={"encoder": encoder.name})
        self._wanted, self._what, self._device, self._images = settings, what, device, images
        self._encoder: OpenClipEncoder | None = encoder

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_encoder": None}  # every worker loads its own

    def setup(self) -> None:
        """Loads the model."""
        import torch

        if self._encoder is None:
            self._encoder = load_encoder(self._wanted.encoder, self._wanted.image_space, self._device, self._wanted.precision)
        if self._encoder.device == "cpu":
            torch.set_num_threads(1)  # the order of sums must not depend on the number of cores

    def process(self, payload: Source, part: PartWriter) -> None:
        """Embeds one part; a record with a bad image is rejected."""
        import pyarrow as pa

        wanted = rows_in(payload, self._what, self._wanted.text)
        part.saw(len(wanted))
        vectors, bad = self._image_vectors(wanted)
        rows = [row for row in wanted if not _reject(row, bad, part)]
        pictures = [mean_unit([vectors[ref] for ref in row.refs]) if row.refs else None for row in rows]
        texts = self._text_vectors([row.text for row in rows])
        columns = {
            "demonstration_id": pa.array([row.id for row in rows], pa.string()),
            "image_ref": pa.array([row.refs[0] if row.refs else "" for row in rows], pa.string()),
            "has_image": pa.array([bool(row.refs) for row in rows], pa.bool_()),
            "has_text": pa.array([bool(row.text) for row in rows], pa.bool_()),
        }
        part.file("image.npy", as_npy(filled(pictures, self._ready.dim)))
        part.file("text.npy", as_npy(filled(texts, self._ready.text_dim)))
        part.table(pa.table(columns))

    @property
    def _ready(self) -> "OpenClipEncoder":
        assert self._encoder is not None, "setup() comes first"
        return self._encoder

    def _text_vectors(self, texts: Sequence[str]) -> list[Vector | None]:
        """The vector of each text, None for an empty one; equal texts are encoded once."""
        distinct = sorted({text for text in texts if text})
        known = dict(zip(distinct, self._ready.encode_texts(distinct), strict=True))
        return [known.get(text) for text in texts]

    def _image_vectors(self, rows: Sequence[Row]) -> tuple[dict[str, Vector], dict[str, BadImage]]:
        """The vector of each distinct image, and what is wrong with those that have none."""
        refs = list(dict.fromkeys(ref for row in rows for ref in row.refs))
        vectors: dict[str, Vector] = {}
        bad: dict[str, BadImage] = {}
        threads = 1 if self._ready.device == "cpu" else 8  # an accelerator eats faster than one thread decodes
        ready = _good(zip(refs, ahead(self._decode, refs, threads), strict=True), bad)
        for names, pixels in _full_batches(ready, self._ready.batch):
            vectors.update(zip(names, self._ready.encode_pixels(pixels), strict=False))
        return vectors, bad

    def _decode(self, ref: str) -> Pixels | BadImage:
        try:
            least = self._ready.input_size
            return self._ready.pixels(open_rgb(self._images.get(ref), self._wanted.max_pixels, at_least=least))
        except InputError:
            return BadImage("missing", "not in the image store")
        except BadImage as error:
            return error


def _reject(row: Row, bad: dict[str, BadImage], part: PartWriter) -> bool:
    faults = [(ref, bad[ref]) for ref in row.refs if ref in bad]
    if faults:
        part.reject(row.id, f"image_{faults[0][1].reason}", f"{faults[0][0]} {faults[0][1]}")
    return bool(faults)


def _good(decoded: Iterator[tuple[str, Pixels | BadImage]], bad: dict[str, BadImage]) -> Iterator[tuple[str, Pixels]]:
    for ref, pixels in decoded:
        if isinstance(pixels, BadImage):
            bad[ref] = pixels
        else:
            yield ref, pixels


def _full_batches(items: Iterator[tuple[str, Pixels]], size: int) -> Iterator[tuple[list[str], Pixels]]:
    """Names and pixels [size, H, W, 3]; the last batch is filled up with black, so that all have one shape."""
    names: list[str] = []
    pixels: Pixels | None = None
    for name, picture in items:
        if pixels is None:
            pixels = np.zeros((size, *picture.shape), np.uint8)
        pixels[len(names)] = picture
        names.append(name)
        if len(names) == size:
            yield names, pixels
            names, pixels = [], None
    if pixels is not None:
        yield names, pixels


def embed(
    run: Run,
    settings: EmbedSettings,
    what: What = "demonstrations",
    workers: int = 1,
    progress: Progress | None = None,
    device: str = "",
) -> StageManifest:
    """Embeds what a run holds and returns the stage's manifest.

    Demonstrations go to RUN/embeddings, documents (each node) and images to a folder beside it.
    Raises InputError when the run holds nothing of the kind, or the encoder's weights cannot be had.
    """
    inputs = inputs_of(run, what)
    if not count_of(run, what):
        raise InputError(f"{run.root.uri} has no {what} to embed")
    encoder = load_encoder(settings.encoder, settings.image_space, device, settings.precision)
    stage = Embed(settings, what, run.images, encoder, device)
    if encoder.device != "cpu":
        workers = 1  # one process keeps an accelerator busy
    parts = partitions(run, what, encoder.fingerprint)
    return run_stage(stage, parts, folder_for(run, what), {**inputs, "encoder": encoder.fingerprint}, workers, progress)


def folder_for(run: Run, what: What) -> Folder:
    """Where the vectors of a kind of record lie."""
    return run.embeddings if what == "demonstrations" else run.root / f"embeddings-{what}"
