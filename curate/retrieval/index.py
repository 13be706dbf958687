"""A built index, opened for search. It stays on disk: pages are read as queries touch them."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate.encoders.vectors import Space
from curate.engine import StageManifest, part_name
from curate.errors import ConfigError, InputError, IntegrityError
from curate.retrieval.exact import BLOCK, Neighbours, Single, in_order, in_threads, inner, padded, stacked, top
from curate.storage import Folder, read_table, sha256

if TYPE_CHECKING:
    import faiss

VERIFIED = 256 * 2**20
"""Indexes up to this many bytes are hashed whole when they are opened."""
GATHERED = 64 * 2**20
"""Bytes of vectors that an approximate search holds at once."""
AGAIN = "remove it and run curate index again"


@dataclass(frozen=True, eq=False)
class Index:
    """Nearest neighbours among the demonstrations of a run that have a vector in `space`; row i is ids[i]."""

    space: Space
    ids: list[str]  # demonstration ids
    refs: list[str]  # image refs
    facts: dict[str, Any]  # kind, dim, encoder, image_space, ..., see curate.retrieval.build
    _faiss: "faiss.Index"

    @classmethod
    def open(cls, folder: Folder, space: Space = "image", verify: bool | None = None) -> "Index":
        """Opens FOLDER/SPACE. `verify` hashes the file first; by default only when it is small.

        Raises InputError when there is no such index and IntegrityError when a file of it is damaged.
        """
        here = folder / space
        if not here.exists("manifest.json"):
            raise InputError(f"{here.uri} holds no index; run curate index RUN --space {space} first")
        manifest = StageManifest.load(here)
        name = part_name(0)
        for end in ("faiss", "json", "parquet"):
            _check(here, f"{name}.{end}", manifest, verify)
        try:
            facts = json.loads(here.read(f"{name}.json"))
            index, table = _read(here, f"{name}.faiss"), read_table(here, f"{name}.parquet")
            ids, refs = table.column("id").to_pylist(), table.column("ref").to_pylist()
            fits = index.ntotal == len(ids) and index.d == facts["dim"]
        except (RuntimeError, ValueError, KeyError, MemoryError):
            raise IntegrityError(f"{here.uri}/{name}.* is not a readable index; {AGAIN}") from None
        if not fits:
            raise IntegrityError(f"{here.uri}: index and ids do not belong together; {AGAIN}")
        return cls(space, ids, refs, facts, index)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._faiss.d)

    @property
    def exact(self) -> bool:
        """Whether every neighbour is found."""
        return bool(self.facts["kind"] == "flat")

    def row_of(self, demonstration_id: str) -> int:
        """The (first) row of a demonstration, -1 when it is not indexed."""
        return self._rows.get(demonstration_id, -1)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in reversed(list(enumerate(self.ids)))}

    def search(self, vectors: npt.NDArray[Any], k: int, threads: int = 1) -> Neighbours:
        """The k nearest of unit vectors [B, D], rounded to float16 as the stored ones are; ties by row.

        Raises ConfigError when the vectors cannot be compared with the indexed ones.
        """
        queries = self._checked(vectors)
        if k < 1:
            raise ConfigError(f"k must be at least 1, not {k}")
        if self.exact:
            return top(self._base, queries, k, threads)
        step = max(1, min(BLOCK, GATHERED // (4 * k * self.dim)))
        starts = range(0, len(queries), step)
        return stacked(in_threads(lambda start: self._approximate(queries[start : start + step], k), starts, threads), k)

    def _approximate(self, queries: Single, k: int) -> Neighbours:
        """What FAISS finds, scored anew from the stored codes, so that order and ties are as in an exact search."""
        _, rows, vectors = self._faiss.search_and_reconstruct(queries, min(k, len(self)))
        scores = np.where(rows < 0, np.float32(-np.inf), inner(np.nan_to_num(vectors), queries))
        return padded(*in_order(rows, scores), k)

    @cached_property
    def _base(self) -> Single:
        """The vectors of a flat index [N, D], as a view of its file."""
        import faiss

        view: Single = faiss.rev_swig_ptr(self._faiss.get_xb(), self._faiss.ntotal * self._faiss.d)
        view.flags.writeable = False
        return view.reshape(self._faiss.ntotal, self._faiss.d)

    def _checked(self, vectors: npt.NDArray[Any]) -> Single:
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ConfigError(f"the index holds vectors of length {self.dim}, the query has shape {list(vectors.shape)}")
        rounded = vectors.astype(np.float16).astype(np.float32)
        lengths = np.linalg.norm(rounded, axis=1)
        if not np.all(np.abs(lengths - 1) < 0.01):
            raise ConfigError("query vectors must be finite and of unit length")
        return np.ascontiguousarray(rounded)


def _check(folder: Folder, name: str, manifest: StageManifest, verify: bool | None) -> None:
    size, meant = folder.size(name), manifest.sizes.get(name, -1)
    if size < 0 or size != meant:
        raise IntegrityError(f"{folder.uri}/{name} has {max(size, 0)} bytes, not {meant} as its manifest says; {AGAIN}")
    wanted = size <= VERIFIED if verify is None else verify
    if wanted and sha256(folder.read(name)) != manifest.files.get(name):
        raise IntegrityError(f"{folder.uri}/{name} differs from what its manifest says; {AGAIN}")


def _read(folder: Folder, name: str) -> "faiss.Index":
    import faiss

    return faiss.read_index(str(folder.local(name)), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
