"""`curate search`: a picture, a text or a demonstration's id to the demonstrations nearest to it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate.encoders import load_encoder
from curate.encoders.base import Encoder
from curate.encoders.vectors import Space, Vectors
from curate.engine import read_stage
from curate.errors import ConfigError, InputError
from curate.images import BadImage, open_rgb
from curate.layout import Run
from curate.registry import nearest
from curate.retrieval.index import Index
from curate.storage import ImageStore

_Record = tuple[tuple[str, ...], str, str]  # concepts, question, answer

NAMED = 10_000
"""Ids among which a misspelt one is looked for."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One demonstration found; question, answer and concepts are empty where the run no longer has it."""

    similarity: float
    id: str
    concepts: tuple[str, ...]
    question: str
    answer: str
    image: str  # inside the run's folder, "" where there is none


class Searcher:
    """Answers queries from a run's index; loads the encoder when a picture or a text first needs it."""

    def __init__(self, run: Run, space: Space = "image", encoder: str = "") -> None:
        """`encoder` names where to load from when the embeddings' own name for it leads nowhere."""
        self._run, self._space = run, space
        self.index = Index.open(run.index, space)
        self._name = encoder or str(self.index.facts["encoder"])
        self._encoder: Encoder | None = None

    def by_id(self, demonstration_id: str, k: int = 10) -> list[Hit]:
        """Neighbours of a stored demonstration, without itself; no encoder is loaded."""
        row = self.index.row_of(demonstration_id)
        if row < 0:
            close = nearest(demonstration_id, self.index.ids[:NAMED])  # comparing with millions would take minutes
            raise InputError(f"the index holds no demonstration {demonstration_id!r}{close}")
        vectors = Vectors.read(self._run.embeddings, self._space)
        self._check_fresh(vectors)
        vector = vectors.take(np.array([vectors.row_of(demonstration_id)]))
        found = self.index.search(vector, k + 1)
        kept = [(r, s) for r, s in zip(found.rows[0], found.similarities[0], strict=True) if r >= 0 and r != row]
        return self._hits(kept[:k])

    def by_image(self, data: bytes, k: int = 10) -> list[Hit]:
        """Neighbours of a picture given as the bytes of its file."""
        self._check_comparable("image")
        try:
            picture = open_rgb(data)
        except BadImage as error:
            raise InputError(f"the picture cannot be read ({error.reason}); give a sound image file") from None
        return self._by_vector(self._loaded().encode_images([picture]), k)

    def by_text(self, text: str, k: int = 10) -> list[Hit]:
        """Neighbours of a text."""
        if not text.strip():
            raise InputError("the text is empty; say what to look for")
        self._check_comparable("text")
        return self._by_vector(self._loaded().encode_texts([text]), k)

    def _by_vector(self, vectors: npt.NDArray[np.float32], k: int) -> list[Hit]:
        found = self.index.search(vectors, k)
        return self._hits([(r, s) for r, s in zip(found.rows[0], found.similarities[0], strict=True) if r >= 0])

    def _check_comparable(self, asked: Space) -> None:
        """Pictures and texts meet in the joint space alone."""
        if asked != self._space and self.index.facts["image_space"] != "joint":
            raise ConfigError(
                f"these embeddings are in the image tower's own space, where {asked}s cannot be compared with"
                f" {self._space}s; run curate embed with --image-space joint and curate index again"
            )

    def _check_fresh(self, vectors: Vectors) -> None:
        if vectors.digest != self.index.facts["embeddings"]:
            raise InputError("the embeddings have changed since they were indexed; run curate index again")

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            facts = self.index.facts
            encoder = load_encoder(self._name, image_space=facts["image_space"])
            if facts["fingerprint"] and encoder.fingerprint != facts["fingerprint"]:
                raise ConfigError(
                    f"{self._name} is not the encoder that made these embeddings ({facts['encoder']});"
                    " name it with --encoder, or embed and index again"
                )
            self._encoder = encoder
        return self._encoder

    def _hits(self, found: list[tuple[np.int64, np.float32]]) -> list[Hit]:
        wanted = {self.index.ids[row] for row, _ in found}
        records = _records(self._run, wanted)
        return [self._hit(int(row), float(similarity), records) for row, similarity in found]

    def _hit(self, row: int, similarity: float, records: dict[str, _Record]) -> Hit:
        name, ref = self.index.ids[row], self.index.refs[row]
        concepts, question, answer = records.get(name, ((), "", ""))
        image = f"images/{ImageStore.name_of(ref)}" if ref else ""
        return Hit(similarity, name, concepts, question, answer, image)


def _records(run: Run, wanted: set[str]) -> dict[str, _Record]:
    """What is shown of the demonstrations with the wanted ids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, _Record] = {}
    for folder in run.stages("demonstrations"):
        for table in read_stage(folder):
            here = table.filter(pc.is_in(table.column("id"), value_set=pa.array(sorted(wanted), pa.string())))
            for row in here.select(["id", "concepts", "question", "answer"]).to_pylist():
                found.setdefault(row["id"], (tuple(row["concepts"] or ()), row["question"], row["answer"]))
    return found
