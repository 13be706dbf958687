"""Neighbours to Episodes: selectors, guard, order, formats, labels, build and lint."""
