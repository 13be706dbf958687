"""ICL benchmarks: readers, conditions, scores, predictions."""
