"""A shard's member index: what lies where in its tar. Checked on reading, since a download may be hostile."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from curate.errors import IntegrityError
from curate.shards.tar import BLOCK, END, index_schema, padded, stored
from curate.storage import Folder

TAR, INDEX = ".tar", ".index.parquet"


class Member(NamedTuple):
    """One file inside a shard. `offset` is where its data begins, in bytes from the start of the tar."""

    key: str
    suffix: str
    offset: int
    size: int
    crc32: int

    @property
    def name(self) -> str:
        """The member's name in the tar."""
        return f"{self.key}.{self.suffix}"


@dataclass(frozen=True)
class ShardIndex:
    """All members of a shard in the order of the tar."""

    shard: str
    members: tuple[Member, ...]

    @classmethod
    def load(cls, folder: Folder, shard: str) -> "ShardIndex":
        """The index of `part-00000.tar` in a folder; IntegrityError when it is damaged or cannot be true."""
        return cls.parse(folder.read(index_name(shard)), shard)

    @classmethod
    def parse(cls, data: bytes, shard: str) -> "ShardIndex":
        """The index in the bytes of its file; IntegrityError when it is damaged or cannot be true."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(io.BytesIO(data))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise IntegrityError(f"{index_name(shard)} is not readable: {' '.join(str(error).split())}") from None
        if table.schema.remove_metadata() != index_schema() or any(column.null_count for column in table.columns):
            raise IntegrityError(f"{index_name(shard)} does not have the columns of a member index")
        rows = zip(*[column.to_pylist() for column in table.columns], strict=True)
        index = cls(shard, tuple(Member(*row) for row in rows))
        index.check()
        return index

    def check(self) -> None:
        """IntegrityError unless members follow one another as this library lays them out."""
        position = 0
        for member in self.members:
            if member.offset != position + BLOCK or member.size < 0:
                raise IntegrityError(f"{index_name(self.shard)}: {member.name} cannot lie at byte {member.offset}")
            position += stored(member.size)

    @property
    def tar_bytes(self) -> int:
        """The size of the tar that fits this index."""
        last = self.members[-1] if self.members else None
        return (last.offset + padded(last.size) if last else 0) + len(END)

    def samples(self) -> Iterator[tuple[Member, ...]]:
        """The members of one sample after another."""
        first = 0
        for place in range(1, len(self.members) + 1):
            if place == len(self.members) or self.members[place].key != self.members[first].key:
                yield self.members[first:place]
                first = place


def index_name(shard: str) -> str:
    """The index file of a shard."""
    return shard.removesuffix(TAR) + INDEX
