"""Embedding from stored files beside the bare forward pass on decoded tensors, in one run.

Both compute with the same single thread on a CPU; decoding has a thread of its own, so that two cores show
what overlapping is worth. `whole machine` lets one process a core do both. On a GPU there is one process.

    python benchmarks/bench_embed.py [IMAGES]        default 512
"""

import io
import itertools
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import sample_or_none, say_machine, seconds
from PIL import Image as Pillow

from curate.encoders import EmbedSettings, embed, load_encoder
from curate.encoders.openclip import OpenClipEncoder, batches
from curate.encoders.stage import Embed
from curate.engine import PartWriter
from curate.layout import Run
from curate.storage import Folder

SIDE = 336


def photos(count: int) -> list[bytes]:
    """Real pictures as JPEGs with a shorter side of 336 px: the GIMP manual's, else random texture."""
    folder = sample_or_none("gimp-help-en")
    files = sorted((folder / "images").rglob("*.jpg")) if folder else []
    if not files:
        print("using made-up texture instead")
    sources = (Pillow.open(file).convert("RGB") for file in files) if files else (texture(i) for i in range(64))
    encoded = []
    for number, picture in zip(range(count), itertools.cycle([jpeg_size(p) for p in sources]), strict=False):
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=90, comment=str(number).encode())  # bytes, and a ref, of its own
        encoded.append(out.getvalue())
    return encoded


def jpeg_size(picture: Pillow.Image) -> Pillow.Image:
    scale = SIDE / min(picture.size)
    return picture.resize((max(SIDE, round(picture.width * scale)), max(SIDE, round(picture.height * scale))))


def texture(seed: int) -> Pillow.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (42, 56, 3), np.uint8)
    return Pillow.fromarray(noise).resize((448, SIDE))


def rate(count: int, work: Callable[[], object]) -> float:
    return count / seconds(work)


def bare_forward(encoder: OpenClipEncoder, pixels: np.ndarray) -> Callable[[], None]:
    """The model alone: decoded, resized tensors in memory, one forward pass after the other."""

    def forward() -> None:
        for some in batches(pixels, encoder.batch):
            encoder.encode_pixels(some)

    return forward


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    say_machine("torch", "open_clip_torch", "pillow")
    encoder = load_encoder("offline")
    data = photos(count)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.at(Path(folder) / "run")
        refs = tuple(run.images.put(one, "jpg") for one in data)
        stage = Embed(EmbedSettings(), "images", run.images, encoder)
        stage.setup()
        pixels = np.stack([stage._decode(ref) for ref in refs[:256]])
        writer = PartWriter(Folder.of(folder) / "part", "part-00000")
        one, whole = [], []
        for _ in range(5):  # taken in turns, since the machine may be busy with other things
            one.append(rate(len(pixels), bare_forward(encoder, pixels)))
            whole.append(rate(count, lambda: stage.process(refs, writer)))
        cores = len(os.sched_getaffinity(0))
        every = rate(count, lambda: embed(run, EmbedSettings(), "images", workers=cores))
    best = max(one)
    print(f"{count} JPEGs, shorter side {SIDE} px, device {encoder.device}, batch {encoder.batch}, best of 5, images/s")
    for name, value in (
        ("bare forward pass, one thread", best),
        ("embedding from files, one worker", max(whole)),
        (f"whole machine, {cores} workers, start included", every),
    ):
        print(f"  {name:44s} {value:8.1f}   {100 * value / best:6.1f} %")


if __name__ == "__main__":
    main()
