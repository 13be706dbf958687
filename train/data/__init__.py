"""Shards into token batches: order, reading, rendering, packing, loading."""
