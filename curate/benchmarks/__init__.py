"""Frozen, versioned ICL benchmarks from demonstrations, and from other projects' files."""
