"""Episodes as WebDataset shards: write, verify, read, publish and pull."""

from curate.shards.checking import Fault, verify
from curate.shards.planning import ShardSettings
from curate.shards.reading import Sample, ShardReader, read, read_member
from curate.shards.writing import write_shards

__all__ = ["Fault", "Sample", "ShardReader", "ShardSettings", "read", "read_member", "verify", "write_shards"]
