"""Raw sources to interleaved Documents: readers, filters, mining."""
