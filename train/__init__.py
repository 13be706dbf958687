"""The trainer. It may import curate.schema, curate.shards and curate.storage, nothing else of curate."""
