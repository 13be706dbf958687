"""What an answerer scores that never looks at the query's picture, and one that only looks for the most alike.

A score is the credit for one episode, between 0 and 1; None where the rule has nothing to go by. Ties share.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from zlib import crc32

from curate.episodes.pool import normal
from curate.schema import Episode, Shot

Says = Callable[[Shot], str]
"""What a rule copies: a turn's answer, or the label that the answer stands for."""

Rule = Callable[[Sequence[Shot], Shot, Says], float | None]


def copy_first(shots: Sequence[Shot], query: Shot, says: Says) -> float | None:
    """Says what the first demonstration says."""
    return float(says(shots[0]) == says(query)) if shots else None


def copy_last(shots: Sequence[Shot], query: Shot, says: Says) -> float | None:
    """Says what the last demonstration says."""
    return float(says(shots[-1]) == says(query)) if shots else None


def copy_nearest(shots: Sequence[Shot], query: Shot, says: Says) -> float | None:
    """Says what the demonstration with the most similar image says: one-nearest-neighbour classification."""
    known = [(shot.similarity, -at) for at, shot in enumerate(shots) if shot.similarity is not None]
    return float(says(shots[-max(known)[1]]) == says(query)) if known else None


def majority(shots: Sequence[Shot], query: Shot, says: Says) -> float | None:
    """Says what most demonstrations say; where several tie, one of them at random."""
    if not shots:
        return None
    counts = Counter(map(says, shots))
    most = max(counts.values())
    best = [said for said, count in counts.items() if count == most]
    return float(says(query) in best) / len(best)


RULES: dict[str, Rule] = {
    "copy-first": copy_first,
    "copy-last": copy_last,
    "copy-nearest": copy_nearest,
    "majority": majority,
}


def answer_of(shot: Shot) -> str:
    """The answer as it is compared."""
    return normal(shot.answer)


def label_of(shot: Shot) -> str:
    """The label as it is compared."""
    return normal(shot.label)


def right_option(shot: Shot) -> int:
    """Where the right option stands, -1 when it is not there."""
    return shot.options.index(shot.label) if shot.label in shot.options else -1


def positives(episode: Episode) -> list[int]:
    """Positions of the positive demonstrations."""
    return [at for at, shot in enumerate(episode.demonstrations) if shot.role == "positive"]


def label_prior(asked: Sequence[tuple[str, str, tuple[str, ...]]]) -> float:
    """Credit over (episode id, right label, options) for taking the option that is right most often elsewhere.

    How often an option is right is counted on one half of the episodes and used on the other, both ways; halves go
    by a hash of the id. Where labels are balanced exactly, the halves lean against each other and the credit
    falls below chance, which no model can use on other episodes.
    """
    halves: tuple[list[tuple[str, tuple[str, ...]]], ...] = ([], [])
    for name, label, options in asked:
        halves[crc32(name.encode()) & 1].append((label, options))
    return _credit(*halves) + _credit(*halves[::-1])


def _credit(known: list[tuple[str, tuple[str, ...]]], asked: list[tuple[str, tuple[str, ...]]]) -> float:
    wins = Counter(label for label, _ in known)
    seen = Counter(option for _, options in known for option in options)
    credit = 0.0
    for label, options in asked:
        shares = {option: (wins[option] + 1 / len(options)) / (seen[option] + 1) for option in options}
        best = [option for option, share in shares.items() if share >= max(shares.values()) - 1e-9]
        credit += (label in best) / len(best)
    return credit


@dataclass(frozen=True)
class Share:
    """A share of n episodes with its Wilson interval (Wilson, JASA 1927)."""

    value: float
    low: float
    high: float


def wilson(right: float, total: int, confidence: float) -> Share:
    """Interval of a share; `right` may be a fraction, where ties shared."""
    from statistics import NormalDist

    if not total:
        return Share(0.0, 0.0, 1.0)
    z, share = NormalDist().inv_cdf(0.5 + confidence / 2), right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    reach = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return Share(share, max(0.0, middle - reach), min(1.0, middle + reach))
