"""Runs a stage over its partitions and makes it resumable; a stage never knows on how many workers.

A stage turns one partition into files: it is handed a `PartWriter`, says what it saw, dropped and
rejected, and writes a table. The engine commits each part with a small receipt, skips parts whose receipt
still fits on the next run, and closes the stage with a manifest. Receipts, parts and manifest are equal
bytes for equal inputs and settings, whatever the number of workers and interruptions; the seconds, which
are not, stand in `timings.jsonl`.
"""

from curate.engine.manifests import (
    MANIFEST,
    RECEIPTS,
    Partition,
    Receipt,
    Stage,
    StageManifest,
    check_rejected,
    lineage,
    lineage_of,
    version_of,
)
from curate.engine.parts import PartWriter
from curate.engine.reading import SourcePart, partitions_of, read_stage
from curate.engine.running import TIMINGS, Progress, Quiet, part_name, run

__all__ = [
    "MANIFEST",
    "RECEIPTS",
    "TIMINGS",
    "PartWriter",
    "Partition",
    "Progress",
    "Quiet",
    "Receipt",
    "SourcePart",
    "Stage",
    "StageManifest",
    "check_rejected",
    "lineage",
    "lineage_of",
    "part_name",
    "partitions_of",
    "read_stage",
    "run",
    "version_of",
]
