"""What answerers without a model score on a benchmark."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from math import fsum

from curate.benches import Item, Metric
from curate.episodes.baselines import RULES, answer_of, label_of
from curate.episodes.pool import normal
from curate.schema import Shot

BLIND = ("copy-first", "copy-last", "majority", "copy-first-letter", "copy-last-letter", "majority-letter", "constant")
"""Answerers that never look at the query's picture: above chance, they are a shortcut."""

Answerer = Callable[[Item], float | None]
"""Credit for one item between 0 and 1, ties shared; None where it has nothing to go by."""


def baselines(items: Sequence[Item], metric: Metric) -> dict[str, dict[str, float]]:
    """{shots: {answerer: mean credit over all items}}, an item where an answerer has nothing to go by counting as chance:
    chance, copy-first, copy-last, copy-nearest, majority, knn, constant. Rules compare what answers mean (labels);
    those on letters say so in their names. {} for captions, which are not right or wrong."""
    if metric == "caption":
        return {}
    by_shots: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        by_shots[item.shots].append(item)
    return {str(shots): _scores(some) for shots, some in sorted(by_shots.items())}


def chance(item: Item) -> float:
    """What a blind guess among the choices scores; 0 where the answer is open."""
    return 1 / item.ways if item.ways else 0.0


def nearest_class(item: Item) -> float | None:
    """kNN: says the label whose demonstrations are on average the most similar to the query by the encoder."""
    near: dict[str, list[float]] = defaultdict(list)
    for shot in item.episode.demonstrations:
        if shot.similarity is not None:
            near[label_of(shot)].append(shot.similarity)
    if not near:
        return None
    means = {label: fsum(values) / len(values) for label, values in near.items()}
    best = [label for label, mean in means.items() if mean >= max(means.values()) - 1e-9]
    return (label_of(item.episode.query) in best) / len(best)


def _scores(items: Sequence[Item]) -> dict[str, float]:
    rules: dict[str, Answerer] = {"chance": chance}
    if any(item.episode.demonstrations for item in items):
        rules |= {name: _rule(name, label_of) for name in RULES} | {"knn": nearest_class}
        if any(shot.options for item in items for shot in item.episode.demonstrations):
            rules |= {f"{name}-letter": _rule(name, answer_of) for name in ("copy-first", "copy-last", "majority")}
    found = {name: _mean(items, rule) for name, rule in rules.items()}
    if any(item.choices for item in items):
        found["constant"] = _constant(items)
    return {name: round(score, 4) for name, score in found.items() if score is not None}


def _rule(name: str, says: Callable[[Shot], str]) -> Answerer:
    rule = RULES[name]
    return lambda item: rule(item.episode.demonstrations, item.episode.query, says)


def _mean(items: Sequence[Item], rule: Answerer) -> float | None:
    """Mean credit; None for a rule that never has anything to go by."""
    credits = [rule(item) for item in items]
    if all(credit is None for credit in credits):
        return None
    return fsum(chance(item) if credit is None else credit for item, credit in zip(items, credits, strict=True)) / len(items)


def _constant(items: Sequence[Item]) -> float:
    """Always the choice in the same place of the list, the best such place."""
    right: Counter[int] = Counter()
    for item in items:
        texts = [normal(choice) for choice in item.choices]
        right[texts.index(normal(item.answers[0])) if normal(item.answers[0]) in texts else -1] += 1
    return max((count for place, count in right.items() if place >= 0), default=0) / len(items)
