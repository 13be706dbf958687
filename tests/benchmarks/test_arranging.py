"""Every class stands everywhere equally often, and no letter tells."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from curate.benchmarks.arranging import arrangements

WAYS, SHOTS, SEEDS = st.integers(2, 6), st.integers(0, 4), st.integers(0, 2**32)


@given(WAYS, SHOTS, SEEDS)
def test_every_class_stands_at_every_place_equally_often(ways: int, shots: int, seed: int) -> None:
    forms = list(arrangements("block", ways, shots, seed))
    assert len(forms) == 2 * (ways if shots else 1)
    assert len({form.name for form in forms}) == len(forms)
    for turn in zip(*(form.turns for form in forms), strict=True):
        assert Counter(place for place, _ in turn) == dict.fromkeys(range(ways), 2)


@given(WAYS, st.integers(1, 4), SEEDS)
def test_an_arrangement_shows_every_demonstration_once(ways: int, shots: int, seed: int) -> None:
    for form in arrangements("block", ways, shots, seed):
        assert sorted(form.turns) == [(place, nth) for place in range(ways) for nth in range(shots)]


@given(WAYS, st.integers(1, 4), SEEDS)
def test_the_letter_at_a_place_is_every_letter_equally_often(ways: int, shots: int, seed: int) -> None:
    forms = list(arrangements("block", ways, shots, seed))
    for at in range(ways * shots):
        letters = Counter(form.options[at].index(form.turns[at][0]) for form in forms)
        assert letters == dict.fromkeys(range(ways), 2)


@given(WAYS, SHOTS, SEEDS)
def test_options_stand_as_drawn_and_reversed(ways: int, shots: int, seed: int) -> None:
    forms = list(arrangements("block", ways, shots, seed))
    for drawn, reverse in zip(forms[::2], forms[1::2], strict=True):
        assert drawn.turns == reverse.turns
        assert [order[::-1] for order in drawn.options] == list(reverse.options)


def test_without_options_there_is_one_arrangement_a_rotation() -> None:
    assert [form.name for form in arrangements("block", 3, 2, 0, with_options=False)] == ["r0+", "r1+", "r2+"]
