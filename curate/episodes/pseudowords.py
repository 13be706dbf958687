"""Pronounceable words that mean nothing: labels that only the demonstrations of an episode define."""

import re
from collections.abc import Iterable

import numpy as np

from curate.seeding import rng

COUNT = 4096
"""Words in a vocabulary: enough that an episode's words are no habit, few enough to be told apart."""

_ONSETS = (
    "b",
    "d",
    "f",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "z",
    "bl",
    "dr",
    "fl",
    "gr",
    "kl",
    "pr",
    "st",
    "tr",
)
_VOWELS = ("a", "e", "i", "o", "u")
_CODAS = ("", "", "b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "x", "sk", "nd")
_WORD = re.compile(r"[^\W\d_]+")


def words_in(texts: Iterable[str]) -> set[str]:
    """The words of texts, case folded."""
    return {word for text in texts for word in _WORD.findall(text.casefold())}


def vocabulary(seed: int, taken: set[str], count: int = COUNT) -> list[str]:
    """`count` distinct made-up words of two syllables, none of them in `taken` or in everyday English."""
    dice = rng(seed, "pseudowords", "vocabulary")
    made: dict[str, None] = {}
    for _ in range(50 * count):  # far more than needed: the syllables spell about 200,000 words
        word = _candidate(dice)
        if len(word) > 4 and word not in taken and word not in _ENGLISH and not _UNWANTED.search(word):
            made.setdefault(word)
        if len(made) == count:
            break
    return list(made)


def _candidate(dice: np.random.Generator) -> str:
    onsets, vowels = dice.integers(len(_ONSETS), size=2), dice.integers(len(_VOWELS), size=2)
    coda = _CODAS[dice.integers(len(_CODAS))]
    return "".join(_ONSETS[on] + _VOWELS[vowel] for on, vowel in zip(onsets, vowels, strict=True)) + coda


_UNWANTED = re.compile(
    "e$|fag|nig|rap|tit|dik|kum|kok|pis|naz|kik|tard|pen[ie]s|anus|slut|spik|nip|vag|fuk|kun|pus|neg|sem[ei]n"
)
"""A final e reads as an English word too often; the rest is what nobody wants to read in a data set."""

_ENGLISH = set(
    """
    bagel basis began begin begun bevel bison blazer blini bonus bored cabin demon depot devil digit dogma drama fatal
    fetus final flavor flora gravel gravid gravita grazer grotto humid kebab label lapel laser latex lemon level libel
    limit linen liver livid lotus lunar madam major manor maxim medal melon merit metal meter minor minus model modem
    motel motif motor music nasal natal naval navel nodal nomad novel panel papal pasta pedal peril pesto petal piano
    pilot pixel plaza polar polio polka prefab prefix prelim prima primal primo propel proto proton rabid radar ramen
    ravel razor rebel relax relic remit resin resit retro rigid rival rivet robin robot rodent rotor ruler rumor salad
    salon satan satin sedan serum sinus siren sitar sofas solar solid stalin status stereo stolen strata studio stupid
    super tabor talon tapir tempo tenet tenor tesla tetra timid titan token topaz total totem tribal tripod trivet tumor
    tuna tunis tutor valid vapor vegan venom venus vigil viral virus visit visor vista vital vivid volta zebra
    """.split()  # noqa: SIM905
)
"""Real words that the syllables can spell; the words of the demonstrations in use are left out besides."""
