"""Demonstrations as episodes without demonstrations: one question about its pictures and its own answer.

This is what a single-image instruction set becomes when it is mixed in as replay: nothing is reworded, nothing
is drawn, and the sample passes through shards, plan and trainer like every other.
"""

import hashlib
from typing import TYPE_CHECKING

from curate.engine import PartWriter, Progress, SourcePart, StageManifest, lineage_of, partitions_of
from curate.engine import run as run_stage
from curate.errors import InputError
from curate.layout import Run
from curate.schema import Demonstration, Episode, Provenance, Shot, arrow_schema, from_table, to_table
from curate.settings import Settings
from curate.storage import Folder

if TYPE_CHECKING:
    import pyarrow as pa

NONE = "none"
"""Selector and order of an episode that has nothing to select or to order."""


class SinglesSettings(Settings):
    """Nothing to set: the questions are the demonstrations' own."""


class Singles:
    """The stage: a part of Demonstrations in, as many zero-shot Episodes out."""

    name, version = "singles", "1"

    def __init__(self) -> None:
        self.settings: Settings = SinglesSettings()

    def setup(self) -> None:
        """Reads its own name for provenance once."""
        self._lineage = lineage_of(self)

    def process(self, payload: SourcePart, part: PartWriter) -> None:
        """Makes a part of Episodes; a demonstration without pictures or answer is rejected."""
        made = []
        for demonstration in from_table(_demonstrations(payload), Demonstration):
            part.saw()
            missing = next((name for name in ("images", "answer") if not getattr(demonstration, name)), None)
            if missing:
                part.reject(demonstration.id, f"no_{missing}")
            else:
                made.append(single(demonstration, self._lineage))
        part.table(to_table(made, Episode))


def build_singles(demonstrations: Run, run: Run, workers: int = 1, progress: Progress | None = None) -> StageManifest:
    """RUN/episodes from all demonstrations of a run, which may be `run` itself; InputError when it has none."""
    stages = demonstrations.required("demonstrations")
    parts = [partition for stage in stages for partition in partitions_of(stage)]
    inputs = {_name(stage): StageManifest.load(stage).digest for stage in stages}
    return run_stage(Singles(), parts, run.episodes, inputs, workers, progress)


def _name(stage: Folder) -> str:
    return f"demonstrations/{stage.uri.rpartition('/')[2]}"


def _demonstrations(part: SourcePart) -> "pa.Table":
    table = part.table()
    if table.schema.remove_metadata() != arrow_schema(Demonstration):
        raise InputError(f"{part.folder.uri}/{part.name} does not hold demonstrations of this version; import them again")
    return table


def single(demonstration: Demonstration, lineage: str) -> Episode:
    """The zero-shot episode of one demonstration."""
    d = demonstration
    query = Shot("query", None, d.id, d.document_id, d.images, d.question, d.answer, d.answer)
    return Episode(
        id=hashlib.blake2b(f"single\x1f{d.id}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
        task=d.task,
        concept=d.concepts[0] if d.concepts else "",
        format=d.format,
        demonstrations=(),
        query=query,
        selector=NONE,
        order=NONE,
        settings="",
        seed=0,
        source=d.source,
        licence=d.licence,
        provenance=Provenance(d.source, d.id, tuple(dict.fromkeys((*d.provenance.lineage, lineage)))),
    )
