"""All samples that a mixture may draw from, as Arrow columns in the plan's own schema.

Nothing here makes a Python object for a sample, so a million of them take seconds and some hundred megabytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate.engine import read_stage
from curate.errors import InputError
from curate.mixture.catalogue import rejected_in
from curate.mixture.cells import Ints
from curate.mixture.sources import Source
from curate.shards.plans import NAMES, members_schema, samples_schema
from curate.storage import Folder

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Stock:
    """Samples with their members, in the order of the sources, their shards and the samples in these."""

    samples: "pa.Table"  # [S] plans.samples_schema
    members: "pa.Table"  # [M] plans.members_schema

    def __len__(self) -> int:
        return int(self.samples.num_rows)

    def numbers(self, column: str) -> npt.NDArray[Any]:
        """[S] a column of numbers; measures that are missing are NaN."""
        values: npt.NDArray[Any] = one_chunk(self.samples.column(column)).to_numpy(zero_copy_only=False)
        return values

    def words(self, column: str) -> tuple[Ints, list[str]]:
        """[S] codes of a column of words, and the words by code."""
        array = one_chunk(self.samples.column(column))
        return array.indices.to_numpy().astype(np.int64), array.dictionary.to_pylist()

    def taken(self, rows: Ints) -> "Stock":
        """The samples at `rows` alone, with their members."""
        import pyarrow as pa

        samples = self.samples.take(pa.array(rows))
        lengths = _numpy(samples.column("members")).astype(np.int64)
        first = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(first[-1]) + np.repeat(_numpy(samples.column("first")) - first[:-1], lengths)
        samples = samples.set_column(samples.schema.get_field_index("first"), "first", pa.array(first[:-1]))
        return Stock(_tidy(samples), self.members.take(pa.array(places)))


def assemble(sources: Sequence[Source], catalogues: Sequence[Folder]) -> Stock:
    """The catalogues of all sources as one stock; InputError when a source holds no usable sample."""
    import pyarrow as pa

    samples, members, shards = [], [], 0
    held = 0
    for source, folder in zip(sources, catalogues, strict=True):
        found = 0
        for number, table in enumerate(read_stage(folder)):
            samples.append(_samples(table, source, shards + number, held))
            members.append(_members(table))
            held += members[-1].num_rows
            found += table.num_rows
        if not found:
            raise InputError(_empty(source, folder))
        shards += len(source.shards)
    return Stock(_tidy(pa.concat_tables(samples).unify_dictionaries()), pa.concat_tables(members).combine_chunks())


def _empty(source: Source, folder: Folder) -> str:
    rejected = ", ".join(f"{number:,} {reason}" for reason, number in rejected_in(folder).items())
    why = f": {rejected}" if rejected else ", its shards are empty"
    return f"source {source.name!r} holds no sample that can be drawn{why}; look at {folder.uri}/rejected or leave it out"


def _samples(table: "pa.Table", source: Source, shard: int, held: int) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = table.num_rows
    lengths = one_chunk(pc.list_value_length(table.column("offsets")))
    first = held + np.concatenate([[0], np.cumsum(lengths.to_numpy())])[:-1] if rows else np.zeros(0, np.int64)
    known = {
        "shard": pa.repeat(pa.scalar(shard, pa.int32()), rows),
        "first": pa.array(first, pa.int64()),
        "members": lengths,
        "source": pa.repeat(pa.scalar(source.name), rows),
        "replay": pa.repeat(pa.scalar(source.replay), rows),
    }
    known |= {name: one_chunk(table.column(name)) for name in samples_schema().names if name not in known}
    columns = [_as(known[field.name], field) for field in samples_schema()]
    return pa.Table.from_arrays(columns, schema=samples_schema())


def _as(array: "pa.Array", field: "pa.Field[Any]") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_dictionary(field.type):
        return array.dictionary_encode()
    return array.fill_null(float("nan")) if pa.types.is_floating(field.type) else array.cast(field.type)


def _members(table: "pa.Table") -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    places = {"offset": "offsets", "size": "sizes", "crc32": "crc32"}
    columns = [one_chunk(pc.list_flatten(table.column(places[name]))) for name in members_schema().names]
    return pa.Table.from_arrays(columns, schema=members_schema())


def _tidy(samples: "pa.Table") -> "pa.Table":
    """One chunk a column, and dictionaries of the words that occur, in order of first sight."""
    import pyarrow as pa

    for name in NAMES:
        array = one_chunk(samples.column(name))
        place = samples.schema.get_field_index(name)
        samples = samples.set_column(place, name, array.cast(pa.string()).dictionary_encode())
    return samples.combine_chunks()


def one_chunk(column: "pa.ChunkedArray | pa.Array") -> "pa.Array":
    """A column as one array."""
    import pyarrow as pa

    if not isinstance(column, pa.ChunkedArray):
        return column
    whole = column.combine_chunks()
    return whole if not isinstance(whole, pa.ChunkedArray) else pa.concat_arrays(whole.chunks or [pa.array([], column.type)])


def _numpy(column: "pa.ChunkedArray") -> Any:
    return one_chunk(column).to_numpy(zero_copy_only=False)
