"""From what a model said, or how likely it found each choice, to how right that was: 0 to 1.

choice   the likeliest choice is an accepted answer; choices that are equally likely share
exact    the normalised text is an accepted answer
soft     the text begins with an accepted answer, or holds one, as whole words
vqa      VQA accuracy (Antol et al. 2015, section 4): agreement with annotators, averaged over leaving one out
caption  ROUGE-L here, answer by answer; CIDEr needs all answers and is in train/evaluate/captions.py
"""

import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from curate.benches import Item
from curate.registry import Registry
from train.evaluate.captions import rouge_l
from train.evaluate.vqa import vqa_accuracy

Metric = Callable[[str, Sequence[str]], float]
"""How right a text is, given accepted answers."""

TEXT_METRICS: Registry[Metric] = Registry("metric")


def score_likelihoods(item: Item, scores: Sequence[float]) -> tuple[str | None, float]:
    """The likeliest choice (the first of several) and how right it is; (None, 0.0) where there are no scores."""
    if not scores:
        return None, 0.0
    most, accepted = max(scores), {normal(answer) for answer in item.answers}
    best = [choice for choice, score in zip(item.choices, scores, strict=True) if score == most]
    if not best:  # a model that computes no number: nothing was answered
        return None, 0.0
    return best[0], sum(normal(choice) in accepted for choice in best) / len(best)


def score_text(metric: str, item: Item, said: str | None) -> tuple[str | None, float]:
    """What was answered and how right it is; (None, 0.0) for an item that did not fit.

    Under `choice` the text must name one choice; see `named_choice`.
    """
    if said is None:
        return None, 0.0
    if metric == "choice":
        choice = named_choice(said, item.choices)
        return choice, float(choice is not None and normal(choice) in {normal(answer) for answer in item.answers})
    return said.strip(), TEXT_METRICS.get(metric)(said, item.answers)


def named_choice(said: str, choices: Sequence[str]) -> str | None:
    """The choice that a text names: it is the choice, or begins with it as a whole word, as in "B." or "B) a cat".

    None where no choice does, or several of the same length do. Letter case counts only where choices differ in nothing else.
    """
    for fold in (str, str.casefold):
        text = _words_of(fold(said))
        known = [
            (len(words), choice) for choice in choices if (words := _words_of(fold(choice))) == text[: len(words)] and words
        ]
        longest = [choice for length, choice in known if length == max(known)[0]]
        if len(longest) == 1:
            return longest[0]
    return None


@TEXT_METRICS.register("exact")
def exact(said: str, answers: Sequence[str]) -> float:
    """1 where the normalised text is an accepted answer."""
    return float(normal(said) in {normal(answer) for answer in answers})


@TEXT_METRICS.register("soft")
def soft(said: str, answers: Sequence[str]) -> float:
    """1 where an accepted answer stands somewhere in the text, as whole words."""
    text = f" {normal(said)} "
    return float(any(f" {normal(answer)} " in text for answer in answers if normal(answer)))


@TEXT_METRICS.register("vqa")
def vqa(said: str, answers: Sequence[str]) -> float:
    """VQA accuracy."""
    return vqa_accuracy(said, answers)


@TEXT_METRICS.register("caption")
def caption(said: str, answers: Sequence[str]) -> float:
    """ROUGE-L's F-measure against the closest reference."""
    return rouge_l(said, answers)


@lru_cache(maxsize=65_536)
def normal(text: str) -> str:
    """Text as it is compared: NFKC, case folded, no punctuation at the edges of words, no articles, single spaces.

    A text of nothing but punctuation or articles stays what it is, so that "A" is an answer.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = [word.strip(_EDGES) for word in folded.split()]
    kept = [word for word in words if word and word not in _ARTICLES]
    return " ".join(kept) or " ".join(word for word in words if word) or folded.strip()


_EDGES = string.punctuation.replace("-", "").replace("+", "") + "“”‘’«»…¿¡。"
_ARTICLES = frozenset(("a", "an", "the"))


def _words_of(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.strip(" \t\r\n.,:;!?()[]\"'*"))
