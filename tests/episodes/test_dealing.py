"""No label is right more often than another, and distractors are still those that the selector wants."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from curate.episodes import EpisodeSettings, Plan, lint
from curate.episodes.dealing import deal
from curate.episodes.dice import Dice
from curate.episodes.pool import Pool


def uneven(made: Any, count: int = 2000) -> Pool:
    """Concept c is about c + 1 times as frequent as concept 0; each kind's concepts look alike."""
    dice = np.random.default_rng(0)
    which = dice.choice(12, size=count, p=np.arange(1, 13) / 78)
    demos = [made.demonstration(i, concepts=(f"thing {c}", f"kind {c % 3}")) for i, c in enumerate(which.tolist())]
    kinds, things = dice.normal(size=(3, 24)), dice.normal(size=(12, 24))
    vectors = kinds[which % 3] + 0.6 * things[which] + 0.5 * dice.normal(size=(count, 24))
    return Pool.of(demos, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def test_every_concept_is_dealt_as_often_as_it_is_an_answer(made: Any) -> None:
    pool = uneven(made)
    own = pool.concepts[:300]
    offered = np.random.default_rng(1).integers(len(pool.names), size=(300, 6))
    hands = deal(pool, own, offered, 2, Dice.of(0, "test", [str(i) for i in range(300)]))
    assert (hands != own[:, None]).all()
    assert (hands[:, 0] != hands[:, 1]).all()
    for at in range(2):
        assert Counter(hands[:, at].tolist()) == Counter(own.tolist())


def test_what_heads_the_list_is_dealt_where_all_can_have_it(made: Any) -> None:
    pool = uneven(made)
    own = np.repeat([pool.names.index("thing 3"), pool.names.index("thing 4")], 20)
    offered = own[::-1][:, None]
    hands = deal(pool, own, offered, 1, Dice.of(0, "test", [str(i) for i in range(40)]))
    assert (hands[:, 0] == offered[:, 0]).all()


def test_where_nothing_fits_nothing_is_dealt(made: Any) -> None:
    pool = uneven(made)
    own = np.repeat(pool.concepts[:1], 5)
    hands = deal(pool, own, np.full((5, 1), -1), 2, Dice.of(0, "test", list("abcde")))
    assert (hands == -1).all()


@pytest.mark.parametrize("selector", ["random", "concept", "rices"])
def test_the_label_prior_is_a_shortcut_only_where_distractors_come_as_they_are(made: Any, selector: str) -> None:
    pool, found = uneven(made), {}
    for answers in ("balanced", "free"):
        plan = Plan(format="multiple_choice", selector=selector, shots=[2], answers=answers)  # type: ignore[arg-type]
        episodes = made.build(pool, EpisodeSettings(episodes=[plan]))
        found[answers] = any("label-prior" in line for line in lint(episodes).failures)
        if selector == "concept" and answers == "balanced":
            kinds = [{int(option.split()[1]) % 3 for option in e.query.options} for e in episodes]
            assert sum(len(kind) == 1 for kind in kinds) / len(kinds) > 0.8
    assert not found["balanced"]
    assert found["free"] == (selector == "concept")
