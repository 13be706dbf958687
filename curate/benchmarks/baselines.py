"""What answerers without a model score on a benchmark."""

from collections.abc import Sequence

from curate.benches import Item, Metric


def baselines(items: Sequence[Item], metric: Metric) -> dict[str, dict[str, float]]:
    """{shots: {answerer: mean credit}}: chance, copy-first, copy-last, copy-nearest, majority, knn, constant where each has
    something to go by. Rules compare what answers mean (labels); those on letters say so in their names."""
    raise NotImplementedError
