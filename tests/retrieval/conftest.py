"""Runs with embeddings that tests make up."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate.engine import Partition, PartWriter, run
from curate.layout import Run
from curate.schema import Demonstration, Image, Provenance, to_table
from curate.settings import Settings
from curate.storage import sha256


class Made(Settings):
    encoder: str = "offline"
    image_space: str = "joint"


class Embedded:
    """Stands in for curate embed: the files that it writes, from vectors that are given."""

    name, version = "embed", "1"

    def __init__(self, settings: Made) -> None:
        self.settings = settings

    def setup(self) -> None: ...

    def process(self, payload: dict[str, Any], part: PartWriter) -> None:
        image, text, ids = payload["image"], payload["text"], payload["ids"]
        columns = {
            "demonstration_id": pa.array(ids, pa.string()),
            "image_ref": pa.array([f"{sha256(i.encode())}.png" if v.any() else "" for i, v in zip(ids, image, strict=True)]),
            "has_image": pa.array(image.any(axis=1), pa.bool_()),
            "has_text": pa.array(text.any(axis=1), pa.bool_()),
        }
        part.table(pa.table(columns))
        for name, vectors in (("image", image), ("text", text)):
            out = io.BytesIO()
            np.save(out, vectors.astype(np.float16))
            part.file(f"{name}.npy", out.getvalue())


class Demonstrated:
    """Stands in for curate import."""

    name, version, settings = "import", "1", Settings()

    def setup(self) -> None: ...

    def process(self, payload: list[str], part: PartWriter) -> None:
        where = Provenance("made", "up")
        facts = {"question": "What is it?", "task": "category", "format": "open_qa", "document_id": "", "context": ""}
        rows = [
            Demonstration(
                id=i, images=(Image("a.png", 1, 1, "0"),), answer=f"it is {i}", concepts=(f"concept {i}", "thing"),
                source="made", licence="CC0", provenance=where, **facts,
            )
            for i in payload
        ]  # fmt: skip
        part.table(to_table(rows, Demonstration))


MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(image, text=, part=, image_space=, name=)`: a run with the vectors as embeddings, ids d0, d1, …"""

    def make(image: np.ndarray, text: np.ndarray | None = None, part: int = 100, name: str = "run", **settings: str) -> Run:
        here, ids = Run.at(tmp_path / name), [f"d{i}" for i in range(len(image))]
        text = image if text is None else text
        cuts = [slice(at, at + part) for at in range(0, len(image), part)]
        payloads = [{"image": image[cut], "text": text[cut], "ids": ids[cut]} for cut in cuts]
        prints = [sha256(p["image"].tobytes() + p["text"].tobytes()) for p in payloads]
        stage = Embedded(Made(**settings))
        run(stage, [Partition(f, p) for f, p in zip(prints, payloads, strict=True)], here.embeddings, {"encoder": "print"})
        run(Demonstrated(), [Partition(str(len(ids)), ids)], here.root / "demonstrations/made")
        return here

    return make


@pytest.fixture
def cloud() -> Callable[..., np.ndarray]:
    """`cloud(count, dim=, seed=)`: unit float16 vectors around some centres."""

    def make(count: int, dim: int = 32, seed: int = 0, centres: int = 20) -> np.ndarray:
        dice = np.random.default_rng(seed)
        middle = np.random.default_rng(7).standard_normal((centres, dim))
        vectors = middle[dice.integers(centres, size=count)] + 0.5 * dice.standard_normal((count, dim))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)

    return make
