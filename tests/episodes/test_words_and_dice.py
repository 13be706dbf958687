"""Made-up words are words of no vocabulary in use; random numbers depend on their item alone."""

import re

import numpy as np

from curate.episodes.dice import Dice
from curate.episodes.pseudowords import COUNT, vocabulary, words_in


def test_words_can_be_said_and_are_new() -> None:
    words = vocabulary(0, set())
    assert len(words) == len(set(words)) == COUNT
    assert all(re.fullmatch(r"([b-df-hj-np-tv-z]{1,2}[aeiou]){2}[b-df-hj-np-tv-z]{0,2}x?", word) for word in words)
    assert words == vocabulary(0, set())
    assert words[:50] != vocabulary(1, set())[:50]


def test_words_in_use_are_left_out() -> None:
    used = set(vocabulary(0, set())[:500])
    texts = [" ".join(used).upper(), "and others, too."]
    words = vocabulary(0, words_in(texts))
    assert len(words) == COUNT
    assert not used & set(words)


def test_a_row_does_not_depend_on_its_company() -> None:
    together, alone = Dice.of(3, "stage", ["a", "b", "c"]), Dice.of(3, "stage", ["b"])
    assert (together.bits("x", 4, 5)[1] == alone.bits("x", 4, 5)[0]).all()
    assert (together.at(np.array([1])).orders("y", 9) == alone.orders("y", 9)).all()


def test_seed_stage_item_and_label_each_change_the_numbers() -> None:
    base = Dice.of(0, "s", ["i"]).bits("x", 8)
    others = [Dice.of(1, "s", ["i"]), Dice.of(0, "t", ["i"]), Dice.of(0, "s", ["j"])]
    assert all((dice.bits("x", 8) != base).all() for dice in others)
    assert (Dice.of(0, "s", ["i"]).bits("y", 8) != base).all()


def test_numbers_are_uniform_and_orders_are_permutations() -> None:
    dice = Dice.of(0, "s", [str(i) for i in range(20_000)])
    drawn = dice.uniform("u", 2)
    assert abs(drawn.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.02
    counts = np.bincount(dice.below("b", 7, 1)[:, 0], minlength=7)
    assert counts.min() > 20_000 / 7 * 0.95
    assert (np.sort(dice.orders("o", 5), axis=1) == np.arange(5)).all()
