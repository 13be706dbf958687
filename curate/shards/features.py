"""The columns that `datasets` shall expect, for runs whose episodes differ in number or format of their images.

Left alone, `datasets` infers columns from the first five samples and refuses samples of another shape.
"""

import os
from typing import TYPE_CHECKING

from curate.engine import StageManifest
from curate.schema import Episode, arrow_schema
from curate.shards.reading import load_manifest, shards_folder
from curate.storage import Folder

if TYPE_CHECKING:
    import datasets


def features(place: "str | os.PathLike[str] | Folder") -> "datasets.Features":
    """For `load_dataset("webdataset", data_files=…, features=…)`; reads the manifest only."""
    return features_of(load_manifest(shards_folder(place)))


def features_of(manifest: StageManifest) -> "datasets.Features":
    """One column for the JSON and one for every member suffix that occurs."""
    import datasets
    import pyarrow as pa

    extra = [
        ("images", pa.int64()),
        ("turns", pa.list_(pa.list_(pa.int64()))),
        ("members", pa.list_(pa.string())),
    ]
    record = pa.struct([*arrow_schema(Episode), *[pa.field(name, kind) for name, kind in extra]])
    columns = datasets.Features.from_arrow_schema(pa.schema([pa.field("json", record)]))
    for suffix in sorted(manifest.tallies.get("member", {}), key=_by_number):
        if suffix != "json":
            columns[suffix] = datasets.Image()
    for name in ("__key__", "__url__"):
        columns[name] = datasets.Value("string")
    return columns


def _by_number(suffix: str) -> tuple[int, str]:
    number, _, extension = suffix.partition(".")
    return (int(number) if number.isdigit() else -1, extension)
