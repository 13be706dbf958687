"""A small run to make benchmarks of: classes under two kinds, pictures in two styles, vectors around a centre a class."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image as Pillow

from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.material import Material, Training, read_material
from curate.engine import Partition, PartWriter
from curate.engine import run as run_stage
from curate.layout import Run
from curate.schema import Demonstration, Image, Provenance, as_json, to_table
from curate.settings import Settings, build
from curate.storage import hash_json

STYLES = ("inked", "painted")


class Kept:
    """Stands in for an import: writes the demonstrations that it is given."""

    name, version, settings = "import", "1", Settings()

    def setup(self) -> None: ...

    def process(self, payload: list[Demonstration], part: PartWriter) -> None:
        part.saw(len(payload))
        part.table(to_table(payload, Demonstration))


class Embedded:
    """Stands in for curate embed: one vector a demonstration."""

    name, version, settings = "embed", "1", Settings()

    def setup(self) -> None: ...

    def process(self, payload: tuple[list[Demonstration], np.ndarray], part: PartWriter) -> None:
        rows, vectors = payload
        there = pa.array([True] * len(rows))
        columns = {"demonstration_id": pa.array([d.id for d in rows]), "image_ref": pa.array([d.images[0].ref for d in rows])}
        part.table(pa.table({**columns, "has_image": there, "has_text": there}))
        for space in ("image", "text"):
            out = io.BytesIO()
            np.save(out, vectors.astype(np.float16))
            part.file(f"{space}.npy", out.getvalue())


def demonstration(run: Run, number: int, name: str, **changes: Any) -> Demonstration:
    """Demonstration `number`, a picture of `name`; the picture follows from the number."""
    dice = np.random.default_rng(number)
    out = io.BytesIO()
    Pillow.fromarray(dice.integers(256, size=(4, 4, 3), dtype=np.uint8)).save(out, "PNG")
    plain: dict[str, Any] = {
        "id": f"d{number:05d}",
        "images": (Image(run.images.put(out.getvalue(), "png"), 4, 4, f"{int(dice.integers(2**63)):016x}"),),
        "question": "What is it?",
        "answer": name,
        "task": "category",
        "concepts": (name,),
        "format": "open_qa",
        "document_id": "",
        "context": "",
        "source": "made",
        "licence": "CC0-1.0",
        "provenance": Provenance("made", str(number), ("import:0123",)),
    }
    return Demonstration(**{**plain, **changes})


def store(run: Run, rows: Sequence[Demonstration], vectors: np.ndarray | None = None) -> Run:
    """Writes demonstrations, and vectors [N, D] where given."""
    print_ = hash_json([as_json(row) for row in rows])
    made = run_stage(Kept(), [Partition(print_, list(rows))], run.root / "demonstrations/made")
    if vectors is not None:
        inputs = {"encoder": "print", "made": made.digest}
        key = hash_json([print_, vectors.tolist()])
        run_stage(Embedded(), [Partition(key, (list(rows), vectors))], run.embeddings, inputs)
    return run


def world(folder: Path, classes: int = 12, each: int = 6, first: int = 0) -> Run:
    """`each` pictures of each class "thing N" of the kinds "kind 0" and "kind 1", captions of them all, and questions about
    their colour; styles take turns."""
    run, rows = Run.at(folder), []
    for number in range(classes * each):
        at, style = number % classes, STYLES[number // classes % 2]
        name, concepts = f"thing {at + first}", (f"thing {at + first}", f"kind {at % 2}")
        shown = demonstration(run, number + 1000 * first, name, concepts=concepts, source=style)
        colour = ("red", "green", "blue")[(number // 5) % 3]
        asked = replace(shown, id=f"{shown.id}-colour", task="attribute", question="Which colour?", answer=colour)
        said = replace(
            shown, id=f"{shown.id}-said", task="caption", format="caption", question="", answer=f"A {name}, no {number}."
        )
        rows += [shown, asked, said]
    dice = np.random.default_rng(first)
    centres = dice.normal(size=(classes, 16))
    vectors = np.stack([centres[int(d.concepts[0].split()[1]) - first] for d in rows])
    noise = {d.images[0].ref: dice.normal(size=16) for d in rows}
    vectors = vectors + np.stack([noise[d.images[0].ref] for d in rows])
    return store(run, rows, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def made(run: Run | Material, kind: str, seed: int = 0, **more: Any) -> Made:
    """The items of a benchmark of a run."""
    material = run if isinstance(run, Material) else read_material(run.root.uri, Training())
    guard = {"cosine": None, **more.pop("guard", {})}
    asked = {"name": "bench", "kind": kind, "demonstrations": "run", "shots": [1, 2], "queries": 12, "guard": guard, **more}
    return KINDS.get(kind).build(build(KINDS.get(kind).settings, asked), material, seed)
