"""Episodes as WebDataset shards: write, verify, read, publish and pull."""

from curate.shards.checking import Fault, verify
from curate.shards.planning import ShardSettings
from curate.shards.publishing import Published, publish
from curate.shards.pulling import Pulled, pull
from curate.shards.reading import Sample, ShardReader, read, read_member
from curate.shards.writing import write_shards

__all__ = [
    "Fault",
    "Published",
    "Pulled",
    "Sample",
    "ShardReader",
    "ShardSettings",
    "publish",
    "pull",
    "read",
    "read_member",
    "verify",
    "write_shards",
]
