"""Letters and positions are balanced by construction, and mutually independent."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from curate.episodes.balance import design
from curate.episodes.lint import independence
from curate.episodes.settings import EpisodeSettings, Plan


@pytest.mark.parametrize(("ways", "shots"), [(2, 1), (2, 2), (2, 3), (2, 8), (3, 2), (3, 3), (4, 4), (4, 8), (5, 5), (4, 1)])
def test_a_whole_block_is_a_full_factorial(ways: int, shots: int) -> None:
    plan = design(ways**3, shots, ways, 7, "cell")
    right, slot = plan.letters[:, -1], plan.slots[:, -1]
    for position in range(shots):
        shown = plan.letters[:, position]
        assert set(Counter(zip(right, slot, shown, strict=True)).values()) == {1}
        assert (plan.slots[:, position] == slot).sum() == ways**2


@pytest.mark.parametrize(("ways", "shots"), [(2, 2), (3, 5), (4, 8), (4, 2)])
def test_every_blind_rule_is_right_once_in_every_group(ways: int, shots: int) -> None:
    plan = design(60, shots, ways, 3, "another cell")
    for start in range(0, 60, ways):
        letters, slots = plan.letters[start : start + ways], plan.slots[start : start + ways]
        assert (letters[:, :-1] == letters[0, :-1]).all()
        assert (slots[:, :-1] == slots[0, :-1]).all()
        assert sorted(letters[:, -1]) == sorted(slots[:, -1]) == list(range(ways))


@pytest.mark.parametrize(("ways", "shots"), [(2, 8), (4, 6), (4, 2), (3, 1)])
def test_no_class_is_shown_twice_more_often_than_another(ways: int, shots: int) -> None:
    pattern = design(200, shots, ways, 0, "cell").slots[:, :-1]
    counts = np.stack([(pattern == slot).sum(axis=1) for slot in range(ways)], axis=1)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_another_part_begins_elsewhere() -> None:
    starts = {tuple(design(1, 2, 4, 0, f"part {at}").letters[0]) for at in range(64)}
    assert len(starts) > 20


@pytest.fixture(scope="module")
def choices(made: Any) -> list[Any]:
    plans = [Plan(format="multiple_choice", selector="rices", order="similar_last", shots=[2, 4, 8], ways=[2, 4])]
    return made.build(made.make_pool(4000, concepts=40), EpisodeSettings(episodes=plans))  # type: ignore[no-any-return]


def test_letters_and_positions_are_even_over_the_whole_build(choices: list[Any]) -> None:
    for shots, ways in {(len(e.demonstrations), len(e.query.options)) for e in choices}:
        cell = [e for e in choices if (len(e.demonstrations), len(e.query.options)) == (shots, ways)]
        letters = Counter(e.query.answer for e in cell)
        assert len(letters) == ways
        assert max(letters.values()) - min(letters.values()) <= 16  # at most 2 in each of 8 parts
        places = Counter(at for e in cell for at, shot in enumerate(e.demonstrations) if shot.role == "positive")
        assert len(places) == shots
        assert max(places.values()) - min(places.values()) <= 24


def test_letter_position_and_shown_letter_are_independent(choices: list[Any]) -> None:
    for shots, ways in ((2, 2), (4, 2), (8, 2), (4, 4), (8, 4)):
        table: Counter[tuple[int, int, int]] = Counter()
        for e in choices:
            if (len(e.demonstrations), len(e.query.options)) == (shots, ways):
                at = next(at for at, shot in enumerate(e.demonstrations) if shot.role == "positive")
                table["ABCD".index(e.query.answer), at, "ABCD".index(e.demonstrations[at].answer)] += 1
        p = independence(table)
        assert p is not None
        assert p > 0.01


def test_the_independence_test_sees_a_dependence() -> None:
    even = Counter({(a, b, c): 25 for a in range(2) for b in range(2) for c in range(2)})
    tied = Counter({(a, b, a): 50 for a in range(2) for b in range(2)})
    assert independence(even) == 1.0
    assert independence(tied) == 0.0  # the query's letter is the one that the positive demonstration shows
    assert independence(Counter({(0, 0, 0): 9})) is None
