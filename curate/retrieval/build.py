"""`curate index`: the embeddings of a run into a nearest-neighbour index on disk.

RUN/index/SPACE/part-00000.faiss      the index, as faiss.write_index writes it
RUN/index/SPACE/part-00000.parquet    id, ref, row: the demonstration of each indexed vector, its image, and its row
                                      among the embeddings
RUN/index/SPACE/part-00000.json       what kind of index it is and which encoder made its vectors
"""

import hashlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from curate.encoders.vectors import Vectors
from curate.engine import Partition, PartWriter, Progress, StageManifest
from curate.engine import run as run_stage
from curate.errors import InputError, IntegrityError
from curate.layout import Run
from curate.retrieval.kinds import IndexSettings, kind_for, make
from curate.storage import Folder, canonical_json, hash_json

if TYPE_CHECKING:
    import faiss

LENGTH = 0.01
"""How far a vector's length may be from 1."""


class BuildIndex:
    """Turns a folder of embeddings into one index."""

    name, version = "index", "1"

    def __init__(self, settings: IndexSettings) -> None:
        self.settings: IndexSettings = settings

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, payload: Folder, part: PartWriter) -> None:
        """Builds the index; records with nothing to embed in this space are dropped."""
        vectors = Vectors.read(payload, self.settings.space)
        part.saw(len(vectors))
        for row in np.flatnonzero(~vectors.present):
            part.drop(vectors.ids[row], f"no_{self.settings.space}")
        _check_lengths(vectors)
        index, facts = make(vectors, self.settings)
        _write(index, part)
        part.file("json", canonical_json({**facts, **_origin(vectors)}))
        part.table(_table(vectors))


def build_index(run: Run, settings: IndexSettings, workers: int = 1, progress: Progress | None = None) -> StageManifest:
    """Indexes RUN/embeddings into RUN/index/SPACE, unless that is up to date, and returns the stage's manifest.

    Building uses one thread whatever `workers` says: it makes one file, and its bytes shall not depend on cores.
    Raises InputError when there are no vectors and IntegrityError when they are damaged.
    """
    vectors = Vectors.read(run.embeddings, settings.space)
    if not vectors.present.any():
        raise InputError(f"{run.embeddings.uri} holds no {settings.space} vectors; embed demonstrations that have some")
    fingerprint = hash_json(_origin(vectors))
    stage = BuildIndex(settings)
    out = run.index / settings.space
    return run_stage(stage, [Partition(fingerprint, run.embeddings)], out, {"embeddings": vectors.digest}, workers, progress)


def plan_index(run: Run, settings: IndexSettings) -> dict[str, Any]:
    """What `build_index` would make of the embeddings that are there."""
    vectors = Vectors.read(run.embeddings, settings.space)
    count = int(vectors.present.sum())
    kind = kind_for(count, vectors.dim, settings)
    bytes_each = {"flat": 4, "ivf_fp16": 2, "ivf_sq8": 1}[kind]
    return {"kind": kind, "vectors": count, "dim": vectors.dim, "bytes": bytes_each * vectors.dim * count}


def _origin(vectors: Vectors) -> dict[str, str]:
    """What the vectors are: which space, whose, and which."""
    return {
        "space": vectors.space,
        "encoder": vectors.encoder,
        "image_space": vectors.image_space,
        "fingerprint": vectors.fingerprint,
        "embeddings": vectors.digest,
    }


def _check_lengths(vectors: Vectors) -> None:
    start = 0
    for block in vectors.blocks():
        lengths = np.linalg.norm(block.astype(np.float32), axis=1)
        bad = vectors.present[start : start + len(block)] & ~(np.abs(lengths - 1) < LENGTH)
        if bad.any():
            name = vectors.ids[start + int(bad.argmax())]
            raise IntegrityError(f"the {vectors.space} vector of {name} is not of unit length; run curate embed again")
        start += len(block)


def _table(vectors: Vectors) -> Any:
    import pyarrow as pa

    rows = np.flatnonzero(vectors.present)
    columns = {
        "id": pa.array([vectors.ids[row] for row in rows], pa.string()),
        "ref": pa.array([vectors.refs[row] for row in rows], pa.string()),
        "row": pa.array(rows, pa.int64()),
    }
    return pa.table(columns)


class _Hashing:
    """Writes and hashes in one go, so that a large index is not read back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _write(index: "faiss.Index", part: PartWriter) -> None:
    import faiss

    with part.open("faiss") as file:
        hashing = _Hashing(file)
        faiss.write_index(index, faiss.PyCallbackIOWriter(hashing.write))
    part.hashed("faiss", hashing.digest)
