"""What the episode stage reads of a run: demonstrations, vectors, neighbours."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curate.encoders.vectors import Vectors
from curate.engine import MANIFEST, StageManifest, read_stage
from curate.episodes.neighbours import ExactSearch, IndexSearch, Search
from curate.episodes.pool import Pool
from curate.episodes.settings import EpisodeSettings
from curate.errors import InputError
from curate.layout import Run
from curate.retrieval.index import Index
from curate.schema import Demonstration, arrow_schema
from curate.seeding import seed_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Inputs:
    """The stages that episodes are built from."""

    digests: dict[str, str]
    lineage: tuple[str, ...]  # of embeddings and index; demonstrations carry their own


def inputs_of(run: Run, settings: EpisodeSettings, search: bool) -> Inputs:
    """Digests of what will be read; InputError when embeddings are needed and missing."""
    folders = run.required("demonstrations")
    digests = {f"demonstrations/{folder.uri.rpartition('/')[2]}": StageManifest.load(folder).digest for folder in folders}
    lineage = []
    if not run.embeddings.exists(MANIFEST):
        if search or settings.guard.cosine is not None:
            raise InputError(
                f"{run.root.uri} has no embeddings; run curate embed first, or set guard.cosine=null and use no rices selector"
            )
        return Inputs(digests, ())
    _check_fresh(run, digests)
    for name, folder in (("embeddings", run.embeddings), ("index", run.index / "image")):
        if folder.exists(MANIFEST):
            manifest = StageManifest.load(folder)
            digests[name] = manifest.digest
            lineage.append(manifest.lineage)
    return Inputs(digests, tuple(lineage))


def _check_fresh(run: Run, demonstrations: dict[str, str]) -> None:
    """InputError where vectors are of other demonstrations than the run's: new ones would all be left out.
    Vectors of another maker, which names no encoder, are taken as they are."""
    inputs = StageManifest.load(run.embeddings).inputs
    embedded = {f"demonstrations/{name}": digest for name, digest in inputs.items() if name != "encoder"}
    if "encoder" in inputs and embedded != demonstrations:
        raise InputError("the demonstrations have changed since they were embedded; run curate embed and curate index again")


def demonstrations_table(run: Run, columns: list[str] | None = None) -> "pa.Table":
    """All demonstrations of a run as one table."""
    import pyarrow as pa

    tables = [table for folder in run.required("demonstrations") for table in read_stage(folder)]
    schema = arrow_schema(Demonstration)
    tables = [table.select(columns or schema.names) for table in tables]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def read_pool(run: Run, settings: EpisodeSettings) -> Pool:
    """The demonstrations and their vectors in memory."""
    table = demonstrations_table(run)
    if not run.embeddings.exists(MANIFEST):
        return Pool.from_table(table, None, {}, settings.max_images)
    vectors = Vectors.read(run.embeddings, "image")
    pairs = zip(vectors.ids, vectors.refs, vectors.present.tolist(), strict=True)
    rows = {(name, ref): row for row, (name, ref, present) in enumerate(pairs) if present}
    return Pool.from_table(table, vectors.matrix, rows, settings.max_images)


def query_rows(run: Run, settings: EpisodeSettings) -> list[int]:
    """Rows of the queries in an order that depends on their ids and the seed alone; a sample where there is a limit."""
    ids = demonstrations_table(run, ["id"]).column("id").to_pylist()
    keys = np.array([seed_of(settings.seed, "episodes.queries", name) for name in ids], dtype=np.uint64)
    rows: list[int] = np.argsort(keys, kind="stable")[: settings.limit].tolist()
    return rows


def open_search(run: Run, pool: Pool) -> Search:
    """The run's index, or exact search where none was built; InputError for an index of other embeddings."""
    if not (run.index / "image").exists(MANIFEST):
        return ExactSearch(pool)
    index = Index.open(run.index, "image")
    if index.facts["embeddings"] != Vectors.read(run.embeddings, "image").digest:
        raise InputError("the embeddings have changed since they were indexed; run curate index again")
    return IndexSearch(index, pool)
