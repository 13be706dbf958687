"""Captions against references: CIDEr by pycocoevalcap, ROUGE-L by rouge-score. Neither needs Java here.

CIDEr weighs n-grams by how rare they are among the references of the whole benchmark, so that a caption's score does not
depend on how many items were asked. Words are split by a plain rule rather than the Java tokeniser of Stanford, which moves
scores by a little: compare figures of this project with each other.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from curate.errors import MissingToolError

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

Captioned = tuple[str, str]
"""(group, what was said)."""


def cider(said: Sequence[Captioned], references: Mapping[str, Sequence[str]]) -> list[float]:
    """CIDEr-D (Vedantam et al. 2015) of each caption, 0 to 10, as pycocoevalcap has it; papers print 100 times the mean.

    `references` maps every group of the benchmark, asked or not, to its reference captions. Several captions of a group are
    arrangements of one question, and are scored in turn against the same document frequencies. 0 where there is one group
    only: nothing is rare there.
    """
    turns: dict[str, list[int]] = {}
    for at, (group, _) in enumerate(said):
        turns.setdefault(group, []).append(at)
    scores = [0.0] * len(said)
    for arrangement in range(max(map(len, turns.values()), default=0)):
        asked = {group: places[arrangement] for group, places in turns.items() if arrangement < len(places)}
        texts = {group: said[place][1] for group, place in asked.items()}
        for group, score in _cider_of(texts, references).items():
            scores[asked[group]] = score
    return scores


def _cider_of(texts: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The scores of one caption a group."""
    scorer = _cider_scorer()
    for group, known in references.items():
        scorer += (_words(texts.get(group, "")), [_words(reference) for reference in known])
    _, scores = scorer.compute_score()
    return {group: float(score) for group, score in zip(references, scores, strict=True) if group in texts}


def rouge_l(said: str, references: Sequence[str]) -> float:
    """ROUGE-L's F-measure (Lin 2004) against the closest reference, 0 to 1."""
    scores = [_rouge_scorer().score(reference, said)["rougeL"].fmeasure for reference in references]
    return float(max(scores, default=0.0))


def check_captions() -> None:
    """MissingToolError where the libraries are not installed."""
    _cider_scorer()
    _rouge_scorer()


def _cider_scorer() -> Any:  # the library has no types
    try:
        from pycocoevalcap.cider.cider_scorer import CiderScorer
    except ImportError:
        raise _missing("pycocoevalcap") from None
    return CiderScorer()


@cache
def _rouge_scorer() -> "RougeScorer":
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise _missing("rouge-score") from None
    return RougeScorer(["rougeL"], use_stemmer=False)


def _missing(package: str) -> MissingToolError:
    return MissingToolError(f"captions are scored by {package}, which is not installed: pip install 'shotcraft[captions]'")


def _words(text: str) -> str:
    """Lower-cased words without punctuation, single spaces."""
    return " ".join(re.findall(r"\w+(?:['’]\w+)?", text.lower()))
