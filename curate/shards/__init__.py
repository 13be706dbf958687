"""Episodes to WebDataset shards with a manifest: write, verify, publish, pull."""
